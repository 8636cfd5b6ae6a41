/**
 * @returns {string} 16 hex digits that nobody else has, and nobody can guess
 */
export function randomId() {
  // crypto.randomUUID does not exist on pages that came by plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
