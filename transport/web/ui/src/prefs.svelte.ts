// What this browser remembers of how its user likes the page. Nothing here is about patients.
const get = (k: string) => {
  try {
    return localStorage.getItem(`relais.${k}`);
  } catch {
    return null;
  }
};

const put = (k: string, v: string) => {
  try {
    localStorage.setItem(`relais.${k}`, v);
  } catch {
    // Private windows may refuse; the choice then lasts as long as the page.
  }
};

export type Theme = 'auto' | 'light' | 'dark';

class Prefs {
  theme: Theme = $state('auto');
  letters = $state(true);
  panel = $state(true);
  /** A tone for what waits for a person; off unless somebody wants it. */
  sound = $state(false);

  constructor() {
    const t = get('theme');
    if (t === 'light' || t === 'dark') this.theme = t;
    this.letters = get('letters') !== 'off';
    this.panel = get('panel') !== 'off';
    this.sound = get('sound') === 'on';
  }

  setTheme(t: Theme) {
    this.theme = t;
    put('theme', t);
    this.paint();
  }

  setLetters(on: boolean) {
    this.letters = on;
    put('letters', on ? 'on' : 'off');
  }

  setSound(on: boolean) {
    this.sound = on;
    put('sound', on ? 'on' : 'off');
    if (on) this.ring();
  }

  /** Sounds, if that is wanted. */
  ring() {
    if (this.sound) void import('./sound').then((s) => s.chime());
  }

  setPanel(on: boolean) {
    this.panel = on;
    put('panel', on ? 'on' : 'off');
  }

  paint() {
    if (this.theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
  }
}

export const prefs = new Prefs();
