import './app/links.test.mjs';
import './app/names.test.mjs';
import './app/outgoing.test.mjs';
import './app/position.test.mjs';
import './app/room.test.mjs';
import './app/words.test.mjs';
import './zchat/address.test.mjs';
import './zchat/backoff.test.mjs';
import './zchat/client.test.mjs';
import './zchat/connection.test.mjs';
import './zchat/ending.test.mjs';
import './zchat/heartbeat.test.mjs';
import './zchat/message.test.mjs';
import './zchat/package.test.mjs';
import './zchat/pending.test.mjs';
import './zchat/wakeups.test.mjs';

export { run } from './support/harness.mjs';
