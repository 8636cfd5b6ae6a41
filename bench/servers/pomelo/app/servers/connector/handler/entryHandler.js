// Lets people into rooms. As in the tutorial, USERNAME*ROOM is who is bound: a name is a room's.
module.exports = (app) => {
  const serverId = app.get('serverId');

  function leave(session, rid) {
    if (session.uid) app.rpc.chat.chatRemote.kick(session, session.uid, serverId, rid, null);
  }

  return {
    enter({ username, rid }, session, next) {
      const uid = `${username}*${rid}`;
      if (app.get('sessionService').getByUid(uid)) return next(null, { code: 500, error: true });
      session.bind(uid);
      session.set('rid', rid);
      session.push('rid', (error) => error && console.error(error));
      session.on('closed', () => leave(session, rid));
      return app.rpc.chat.chatRemote.add(session, uid, serverId, rid, true, (users) => {
        next(null, { users });
      });
    },
  };
};
