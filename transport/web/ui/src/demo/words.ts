import { i18n, type Lang } from '../i18n/i18n.svelte';
import { en } from './en';
import { fr, type DemoCatalogue } from './fr';

export const catalogues: Record<Lang, DemoCatalogue> = { fr, en };

/** The demo's sentences in the language of the page; reactive like i18n.t. */
export const demoWords = () => catalogues[i18n.lang];
