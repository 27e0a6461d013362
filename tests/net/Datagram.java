// SPDX-License-Identifier: MIT
// Echoes datagrams with java.nio; asks with java.nio and with java.net. Used by
// test_udp_programs.py.
//
// Datagram server PORT         says "ready", then sends back what comes, from a Selector's loop
// Datagram client HOST PORT    prints what each way of asking got

import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetSocketAddress;
import java.net.PortUnreachableException;
import java.net.SocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.DatagramChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.charset.StandardCharsets;

public class Datagram {
	static final int TIMEOUT_MS = 20000;

	static void serve(int port) throws Exception {
		Selector selector = Selector.open();
		DatagramChannel channel = DatagramChannel.open().bind(new InetSocketAddress(port));
		ByteBuffer data = ByteBuffer.allocate(70000);

		channel.configureBlocking(false);
		channel.register(selector, SelectionKey.OP_READ);
		System.out.println("ready");
		for (;;) {
			selector.select();
			selector.selectedKeys().clear();
			for (;;) {
				SocketAddress from = channel.receive(data.clear());
				if (from == null)
					break;
				channel.send(data.flip(), from);
			}
		}
	}

	static String text(ByteBuffer data) {
		return StandardCharsets.UTF_8.decode(data.flip()).toString();
	}

	static String connectedChannel(InetSocketAddress to) throws Exception {
		try (DatagramChannel channel = DatagramChannel.open().connect(to)) {
			ByteBuffer data = ByteBuffer.allocate(1000);
			channel.write(ByteBuffer.wrap("nio-connected".getBytes()));
			channel.read(data);
			return text(data);
		}
	}

	static String selected(InetSocketAddress to) throws Exception {
		try (Selector selector = Selector.open(); DatagramChannel channel = DatagramChannel.open()) {
			ByteBuffer data = ByteBuffer.allocate(1000);
			channel.configureBlocking(false);
			channel.register(selector, SelectionKey.OP_READ);
			channel.send(ByteBuffer.wrap("nio-selected".getBytes()), to);
			if (selector.select(TIMEOUT_MS) == 0)
				return "timeout";
			SocketAddress from = channel.receive(data);
			return from.equals(to) ? text(data) : "from " + from;
		}
	}

	static String socket(InetSocketAddress to) throws Exception {
		try (DatagramSocket s = new DatagramSocket()) {
			byte[] out = "net-socket".getBytes();
			DatagramPacket in = new DatagramPacket(new byte[1000], 1000);
			s.setSoTimeout(TIMEOUT_MS);
			s.send(new DatagramPacket(out, out.length, to));
			s.receive(in);
			return in.getSocketAddress().equals(to)
				? new String(in.getData(), 0, in.getLength())
				: "from " + in.getSocketAddress();
		}
	}

	static String refused(InetSocketAddress to) throws Exception {
		try (DatagramSocket s = new DatagramSocket()) {
			s.setSoTimeout(TIMEOUT_MS);
			s.connect(to);
			s.send(new DatagramPacket(new byte[1], 1));
			s.receive(new DatagramPacket(new byte[1], 1));
			return "answered";
		} catch (PortUnreachableException e) {
			return "refused";
		}
	}

	public static void main(String[] args) throws Exception {
		if (args[0].equals("server")) {
			serve(Integer.parseInt(args[1]));
			return;
		}
		InetSocketAddress to = new InetSocketAddress(args[1], Integer.parseInt(args[2]));
		System.out.println(connectedChannel(to));
		System.out.println(selected(to));
		System.out.println(socket(to));
		System.out.println(refused(new InetSocketAddress(args[1], 9)));
	}
}
