// The words of the pages about people and how they come in, fetched with them.
import { i18n } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type Words } from './fr';

export const words = (): Words => (i18n.lang === 'en' ? en : fr);
