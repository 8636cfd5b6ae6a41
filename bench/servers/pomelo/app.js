// The chat of Pomelo's tutorial: a gate, connectors that hold the clients, chat servers by room.
//
//     node app.js env=production type=all
require('./sockets');
const crypto = require('crypto');
const pomelo = require('pomelo');

function byRoom(session, message, app, done) {
  const servers = app.getServersByType('chat');
  const digest = crypto.createHash('md5').update(String(session.get('rid'))).digest();
  done(null, servers[digest.readUInt32LE(0) % servers.length].id);
}

const app = pomelo.createApp();
app.set('name', 'chat');
app.configure('production', 'connector', () => {
  app.set('connectorConfig', {
    connector: pomelo.connectors.hybridconnector,
    heartbeat: 30,
    useDict: true,
    useProtobuf: false,
  });
});
app.configure('production', 'gate', () => {
  app.set('connectorConfig', { connector: pomelo.connectors.hybridconnector });
});
app.configure('production', () => app.route('chat', byRoom));
app.start();

process.on('uncaughtException', (error) => console.error(error.stack));
