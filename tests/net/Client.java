// SPDX-License-Identifier: MIT
// Blocking clients in threads against Server.java, and one refused connection.

import java.io.DataInputStream;
import java.net.ConnectException;
import java.net.Socket;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

public class Client {
	public static void main(String[] args) throws Exception {
		String host = args[0];
		int port = Integer.parseInt(args[1]), n = 50;
		AtomicInteger right = new AtomicInteger();
		Thread[] threads = new Thread[n];
		for (int i = 0; i < n; i++) {
			byte[] data = new byte[20000];
			Arrays.fill(data, (byte) i);
			threads[i] = new Thread(() -> {
				try (Socket s = new Socket(host, port)) {
					s.setTcpNoDelay(true);
					s.getOutputStream().write(data);
					byte[] got = new byte[data.length];
					new DataInputStream(s.getInputStream()).readFully(got);
					if (Arrays.equals(data, got))
						right.incrementAndGet();
				} catch (Exception e) {
					System.err.println(e);
				}
			});
			threads[i].start();
		}
		for (Thread t : threads)
			t.join();
		System.out.println(right.get() + " of " + n);
		try (Socket s = new Socket(host, port + 1)) {
			System.out.println("connected");
		} catch (ConnectException e) {
			System.out.println("ConnectException");
		}
	}
}
