// The words of the dialogs about modes, fetched with them.
import { i18n } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type Modes } from './fr';

export const words = (): Modes => (i18n.lang === 'en' ? en : fr);
