// The pages beside the desk: where each one is, who may open it, and how it is fetched. A row is all that a
// page needs; deskpage.go must serve its path. Menu shows those that the person may open, in this order.
import type { Component } from 'svelte';
import type { IconName } from './Icon.svelte';
import type { ClinicInfo, Permission } from './wire';

/** What a page is given: the clinic it is about, undefined when the account has none. */
export interface PageProps {
  clinic: ClinicInfo | undefined;
}

export interface Page {
  path: string;
  name: { fr: string; en: string };
  icon: IconName;
  /** What the person must be allowed in the clinic; undefined for everybody who is signed in. */
  needs?: Permission;
  /** The page is not about one clinic, so that none is chosen on it. */
  personal?: boolean;
  load: () => Promise<{ default: Component<PageProps> }>;
}

export const pages: Page[] = [
  { path: '/insights', name: { fr: 'Résultats', en: 'Insights' }, icon: 'pulse', needs: 'steer', load: () => import('./insights/Insights.svelte') },
  { path: '/users', name: { fr: 'Utilisateurs', en: 'Users' }, icon: 'people', needs: 'arrange', load: () => import('./access/Users.svelte') },
  { path: '/audit', name: { fr: 'Journal d’audit', en: 'Audit log' }, icon: 'search', needs: 'arrange', load: () => import('./access/Audit.svelte') },
  { path: '/account', name: { fr: 'Votre compte', en: 'Your account' }, icon: 'desk', personal: true, load: () => import('./access/Account.svelte') },
];

/** The page at an address; undefined for the desk and for what is not a page of this table. */
export const pageAt = (path: string): Page | undefined => pages.find((p) => p.path === path);
