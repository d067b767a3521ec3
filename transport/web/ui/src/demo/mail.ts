// Mails are shown in a frame that runs no script. Links are made to open a page of their own.

const web = (url: string) => /^https?:\/\//i.test(url);

/** The document of a mail with links that open outside the frame. */
export function framed(html: string): string {
  const doc = new DOMParser().parseFromString(html, 'text/html');
  for (const el of doc.querySelectorAll('script, base, meta[http-equiv], form, iframe, object, embed')) el.remove();
  for (const a of doc.querySelectorAll('a[href]')) {
    a.setAttribute('target', '_blank');
    a.setAttribute('rel', 'noopener noreferrer');
  }
  return `<!doctype html>${doc.documentElement.outerHTML}`;
}

export interface Piece {
  text: string;
  href?: string;
}

/** A text cut into plain pieces and the links that stand in it. */
export function pieces(text: string): Piece[] {
  const out: Piece[] = [];
  let last = 0;
  for (const m of text.matchAll(/https?:\/\/[^\s<>"]+/g)) {
    const url = m[0].replace(/[.,;:!?)]+$/, '');
    if (m.index > last) out.push({ text: text.slice(last, m.index) });
    out.push({ text: url, href: url });
    last = m.index + url.length;
  }
  if (last < text.length) out.push({ text: text.slice(last) });
  return out;
}

/** What a link of a mail leads to. */
export function leads(url: string): 'offer' | 'no' | 'leave' | 'other' {
  const m = /\/o\/[^/?#]+(?:\/(no|leave))?$/.exec(url);
  return m ? ((m[1] as 'no' | 'leave' | undefined) ?? 'offer') : 'other';
}

/** The links of an item that may be opened. */
export const openable = (links: readonly string[] | null | undefined) => (links ?? []).filter(web);
