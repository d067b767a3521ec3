// The words of the insights page, fetched with it.
import { i18n } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type Insights } from './fr';

export const words = (): Insights => (i18n.lang === 'en' ? en : fr);
