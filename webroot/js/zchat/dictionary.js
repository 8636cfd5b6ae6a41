/** Short codes for routes, as the server's handshake names them. */
export class RouteDictionary {
  #codes;
  #routes;

  /**
   * @param {Record<string, number>} [codes] route → code; empty means that routes travel as text
   * @param {string} [version] what the next handshake says, so that the table is not sent again
   */
  constructor(codes = {}, version) {
    this.#codes = new Map(Object.entries(codes));
    this.#routes = new Map(Object.entries(codes).map(([route, code]) => [code, route]));
    this.version = version;
  }

  /** @param {string} route @returns {number | undefined} */
  code(route) {
    return this.#codes.get(route);
  }

  /** @param {number} code @returns {string | undefined} */
  route(code) {
    return this.#routes.get(code);
  }
}
