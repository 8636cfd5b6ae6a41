// What Pomelo has no option for, asked of the sockets of this process: they send at once, and
// listen on this machine's loopback address only.
//
// Without the first, calls between Pomelo's servers wait on Nagle's algorithm, and a message takes
// 40 ms and more; ZeroMQ and most servers set TCP_NODELAY themselves.
const net = require('net');

const { listen, emit } = net.Server.prototype;
const { connect } = net.Socket.prototype;

net.Server.prototype.listen = function (port, ...rest) {
  const callbacks = rest.filter((word) => typeof word === 'function');
  return listen.call(this, { port: Number(port), host: '127.0.0.1', backlog: 4096 }, ...callbacks);
};

net.Server.prototype.emit = function (event, socket, ...rest) {
  if (event === 'connection') socket.setNoDelay(true);
  return emit.call(this, event, socket, ...rest);
};

net.Socket.prototype.connect = function (...words) {
  this.setNoDelay(true);
  return connect.apply(this, words);
};
