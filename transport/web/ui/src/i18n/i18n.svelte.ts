// The language of the page: chosen once, kept by the browser, French unless said otherwise.
import { fr, type Catalogue } from './fr';

export type Lang = 'fr' | 'en';

const key = 'relais.lang';

function stored(): Lang {
  try {
    return localStorage.getItem(key) === 'en' ? 'en' : 'fr';
  } catch {
    return 'fr';
  }
}

class I18n {
  lang: Lang = $state('fr');
  t: Catalogue = $state.raw(fr);

  /** Takes up the language that was chosen last. */
  async start() {
    if (stored() === 'en') await this.use('en').catch(() => {});
  }

  /** Changes the language; English is fetched when it is first wanted. */
  async use(lang: Lang) {
    this.t = lang === 'en' ? (await import('./en')).en : fr;
    this.lang = lang;
    try {
      localStorage.setItem(key, lang);
    } catch {
      // A browser that keeps nothing still shows the language until the page is closed.
    }
  }
}

export const i18n = new I18n();

/** Looks a word of a closed list up; a word that a newer server added is shown as it is. */
export function word(list: Record<string, string>, key: string | undefined): string {
  return key === undefined || key === '' ? '' : (list[key] ?? key.replaceAll('_', ' '));
}
