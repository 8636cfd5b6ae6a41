// A chat room on Socket.IO, as its documentation scales it: processes that share a Redis adapter.
//
//     node chat.js PORT REDIS_PORT
const { createServer } = require('http');
const { createAdapter } = require('@socket.io/redis-adapter');
const { createClient } = require('redis');
const { Server } = require('socket.io');

async function main(port, redisPort) {
  const pub = createClient({ url: `redis://127.0.0.1:${redisPort}` });
  const sub = pub.duplicate();
  for (const client of [pub, sub]) client.on('error', (error) => console.error(error));
  await Promise.all([pub.connect(), sub.connect()]);

  const http = createServer();
  const io = new Server(http, {
    adapter: createAdapter(pub, sub),
    serveClient: false,
    transports: ['websocket'],
  });
  io.on('connection', (socket) => {
    socket.on('join', async ({ username, rid }, done) => {
      Object.assign(socket.data, { username, rid });
      await socket.join(rid);
      done({ ok: 1 });
    });
    socket.on('chat', ({ content, target }) => {
      const { username, rid } = socket.data;
      io.to(rid).emit('chat', { msg: content, from: username, target });
    });
  });
  http.listen(port, '127.0.0.1', 4096);
}

main(Number(process.argv[2]), Number(process.argv[3]));
