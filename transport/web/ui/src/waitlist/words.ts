// The words of the waitlist's own pages.
import { i18n } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type Waitlist } from './fr';

export const words = (): Waitlist => (i18n.lang === 'en' ? en : fr);
