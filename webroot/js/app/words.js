/** Everything that went wrong, in words for people. */

import { ConnectionError, GateError, RequestError, TimeoutError } from '../zchat/index.js';
import { LONGEST_NAME } from './names.js';

const RESUMED = 4503; // the close code: our name was taken over with our own token

const PROBLEMS = {
  'name.empty': 'Tell us what to call you.',
  'name.long': `A name has at most ${LONGEST_NAME} characters.`,
  'name.characters': 'A name is made of letters, digits and _ only.',
  'room.empty': 'Which room would you like to enter?',
  'room.long': `A room’s name has at most ${LONGEST_NAME} characters.`,
  'room.characters': 'A room’s name is made of letters, digits and _ only.',
};

/**
 * @param {'name' | 'room'} field
 * @param {string} problem from nameProblem
 */
export function namingProblem(field, problem) {
  return PROBLEMS[`${field}.${problem}`];
}

/**
 * @param {Error} error why entering a room failed
 * @param {{me: string, rid: string}} wish
 */
export function enteringProblem(error, { me, rid }) {
  if (isNameTaken(error)) {
    return `Somebody in ${rid} is called ${me} already. Please choose another name.`;
  }
  if (error instanceof GateError) return 'No server is free right now. Please try again shortly.';
  if (error instanceof ConnectionError) {
    return 'The chat cannot be reached right now. Is your network all right?';
  }
  return serverProblem(error);
}

/** @param {Error} error why a message was not delivered @param {string} target */
export function sendingProblem(error, target) {
  const { code } = error;
  if (code === 404 || (code === 500 && target !== '*')) return `${target} is not here any more.`;
  return serverProblem(error);
}

/** @param {Error} error why a message has to be sent again */
export function delayReason(error) {
  if (error instanceof ConnectionError) return 'Waiting for the connection';
  if (error.code === 429) return 'That was a little fast. It goes out shortly.';
  return 'The server is busy. Trying again.';
}

/**
 * @param {import('../zchat/client.js').State} state an offline one
 * @param {{me: string, rid: string}} wish
 */
export function offlineReason({ code, reason, error }, wish) {
  if (error) return enteringProblem(error, wish);
  if (code === RESUMED) return 'You have gone on with this chat in another window.';
  return `The server ended the connection: ${reason}.`;
}

/** @param {unknown} error @returns {boolean} the answer by which a taken name is refused */
export function isNameTaken(error) {
  return error instanceof RequestError && error.code === 500 && error.body.error === true;
}

function serverProblem(error) {
  if (error instanceof TimeoutError) return 'The server took too long to answer.';
  switch (error.code) {
    case 400:
      return `The server did not accept this: ${error.message}.`;
    case 429:
      return 'That was a little fast. Take a breath.';
    case 503:
    case 504:
      return 'The server is busy. Please try again.';
    case 507:
      return 'The server has no space left for messages.';
    default:
      return 'Something went wrong on the server.';
  }
}
