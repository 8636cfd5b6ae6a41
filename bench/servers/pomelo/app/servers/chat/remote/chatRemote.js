// The members of rooms, as connectors change them.
module.exports = (app) => {
  const channels = app.get('channelService');
  const nameOf = (uid) => uid.split('*')[0];

  return {
    add(uid, serverId, rid, create, done) {
      const channel = channels.getChannel(rid, create);
      channel.pushMessage({ route: 'onAdd', user: nameOf(uid) });
      channel.add(uid, serverId);
      done(channel.getMembers().map(nameOf));
    },

    kick(uid, serverId, rid, done) {
      const channel = channels.getChannel(rid, false);
      if (channel) {
        channel.leave(uid, serverId);
        channel.pushMessage({ route: 'onLeave', user: nameOf(uid) });
      }
      done();
    },
  };
};
