// Says something to everybody in the room, or to one.
module.exports = (app) => {
  const channels = app.get('channelService');

  return {
    send({ content, target }, session, next) {
      const rid = session.get('rid');
      const body = { msg: content, from: session.uid.split('*')[0], target };
      const channel = channels.getChannel(rid, false);
      if (target === '*') {
        channel.pushMessage('onChat', body);
      } else {
        const uid = `${target}*${rid}`;
        channels.pushMessageByUids('onChat', body, [{ uid, sid: channel.getMember(uid).sid }]);
      }
      next(null, { route: 'onChat' });
    },
  };
};
