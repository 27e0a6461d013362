// SPDX-License-Identifier: MIT
// Node's dgram: echo server and client; used by test_udp_programs.py.
//
// server TYPE PORT         says "ready", then sends back what comes
// client TYPE HOST PORT    asks 50 times without a connection and 50 times with one

'use strict';
const dgram = require('dgram');
const [role, type, ...rest] = process.argv.slice(2);
const COUNT = 50;

function server(port) {
	const s = dgram.createSocket({ type, ipv6Only: false });
	s.on('message', (data, peer) => s.send(data, peer.port, peer.address));
	s.bind(port, () => console.log('ready'));
}

function ask(host, port, connected, end) {
	const s = dgram.createSocket(type);
	let asked = 0;
	const send = () => connected ? s.send(`${asked}`) : s.send(`${asked}`, port, host);

	s.on('message', (data, peer) => {
		if (data.toString() !== `${asked}` || peer.port !== port || peer.address !== host)
			return;
		asked++;
		if (asked < COUNT)
			return send();
		console.log(connected ? 'connected' : 'free', asked, s.address().port > 0);
		s.close(end);
	});
	if (connected)
		s.connect(port, host, send);
	else
		send();
}

// Where nobody listens: the error is an event.
function refused(host) {
	const s = dgram.createSocket(type);
	s.on('error', (e) => {
		console.log(e.code);
		s.close();
	});
	s.connect(9, host, () => s.send('anyone?'));
}

if (role === 'server')
	server(Number(rest[0]));
else
	ask(rest[0], Number(rest[1]), false, () =>
		ask(rest[0], Number(rest[1]), true, () => refused(rest[0])));
