// Tells a client which connector is its own.
module.exports = (app) => ({
  queryEntry({ uid }, session, next) {
    const connectors = app.getServersByType('connector');
    if (!uid || !connectors.length) return next(null, { code: 500 });
    const sum = [...String(uid)].reduce((total, letter) => total + letter.charCodeAt(0), 0);
    const { host, clientPort: port } = connectors[sum % connectors.length];
    return next(null, { code: 200, host, port });
  },
});
