// SPDX-License-Identifier: MIT
// An echo server on an NIO selector, the way Java servers do it; used by test_web.py.

import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

public class Server {
	public static void main(String[] args) throws Exception {
		Selector selector = Selector.open();
		ServerSocketChannel server = ServerSocketChannel.open();
		server.bind(new InetSocketAddress(Integer.parseInt(args[0])));
		server.configureBlocking(false);
		server.register(selector, SelectionKey.OP_ACCEPT);
		ByteBuffer buf = ByteBuffer.allocate(65536);
		while (true) {
			selector.select();
			for (SelectionKey key : selector.selectedKeys()) {
				if (key.isAcceptable()) {
					SocketChannel c = server.accept();
					if (c == null)
						continue;
					c.configureBlocking(false);
					c.register(selector, SelectionKey.OP_READ);
				} else {
					SocketChannel c = (SocketChannel) key.channel();
					buf.clear();
					if (c.read(buf) < 0) {
						c.close();
						continue;
					}
					buf.flip();
					while (buf.hasRemaining())
						c.write(buf);
				}
			}
			selector.selectedKeys().clear();
		}
	}
}
