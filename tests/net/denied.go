// SPDX-License-Identifier: MIT

// Tries what Go's net package can do, without libc. Used by test_udp_programs.py.
package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

func main() {
	for _, network := range []string{"udp4", "udp6", "tcp4", "tcp6"} {
		to := net.JoinHostPort(os.Args[1], "7")
		if network[3] == '6' {
			to = net.JoinHostPort(os.Args[2], "7")
		}
		c, err := net.DialTimeout(network, to, 2*time.Second)
		if err == nil {
			_, err = c.Write([]byte("from Go"))
		}
		fmt.Println(network, "dial:", err)
	}
	_, err := net.ListenPacket("udp", ":7000")
	fmt.Println("udp listen:", err)
	_, err = net.Listen("tcp", ":7000")
	fmt.Println("tcp listen:", err)
}
