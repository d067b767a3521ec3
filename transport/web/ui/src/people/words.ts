// The words of the parts that are fetched when they are first wanted.
import { i18n } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type People } from './fr';

export const words = (): People => (i18n.lang === 'en' ? en : fr);
