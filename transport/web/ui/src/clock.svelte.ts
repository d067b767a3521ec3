// One clock for the whole page: it ticks once a second and follows the server's time, so that
// countdowns agree on every screen however wrong the computer's own clock is.

class Clock {
  /** The server's time in milliseconds, whole seconds. Reading it subscribes to the tick. */
  now = $state(Math.floor(Date.now() / 1000) * 1000);
  #ahead = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes the server's time from a frame that just arrived. */
  correct(server: string) {
    const t = Date.parse(server);
    if (Number.isNaN(t)) return;
    const ahead = t - Date.now();
    // Differences below the network's jitter would make countdowns stutter.
    if (Math.abs(ahead - this.#ahead) > 400) this.#ahead = ahead;
    this.#set();
  }

  start() {
    this.#tick();
    return () => clearTimeout(this.#timer);
  }

  #set() {
    const now = Math.floor((Date.now() + this.#ahead) / 1000) * 1000;
    if (now !== this.now) this.now = now;
  }

  #tick() {
    this.#set();
    const into = (((Date.now() + this.#ahead) % 1000) + 1000) % 1000;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), 1005 - into);
  }
}

export const clock = new Clock();
