import { i18n } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type Joins } from './fr';

export const words = (): Joins => (i18n.lang === 'en' ? en : fr);
