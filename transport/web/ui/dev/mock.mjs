// A server to develop the page against: the API, the live feed and the sandbox with invented
// data, played by a few timers. It is a tool; nothing of it is part of the product.
//
//   node dev/mock.mjs [--port 8090] [--cards 1000] [--rate 20]
//
// Account "accueil", password "accueil". --cards and --rate make a load to measure with.
import { createReadStream, existsSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const arg = (name, otherwise) => {
  const i = process.argv.indexOf(`--${name}`);
  return i < 0 ? otherwise : process.argv[i + 1];
};
const port = Number(arg('port', '8090'));
const many = Number(arg('cards', '0'));
const rate = Number(arg('rate', '0'));
const dist = fileURLToPath(new URL('../../dist', import.meta.url));

const offset = 5 * 60; // minutes behind UTC, as Toronto in winter
const wall = (t) => new Date(t - offset * 60_000).toISOString();
const dayOf = (t) => wall(t).slice(0, 10);
const timeOf = (t) => wall(t).slice(11, 16);
const iso = (t) => new Date(t).toISOString();
const at = (day, hhmm) => Date.parse(`${day}T${hhmm}:00Z`) + offset * 60_000;
const today = dayOf(Date.now());
const plus = (day, n) => new Date(Date.parse(`${day}T12:00:00Z`) + n * 86_400_000).toISOString().slice(0, 10);

let seed = 7;
const rnd = () => ((seed = (seed * 1103515245 + 12345) % 2147483648) / 2147483648);
const pick = (a) => a[Math.floor(rnd() * a.length)];
const given = 'Agathe Béatrice Camille Denise Édouard Félix Gisèle Hugo Inès Jacques Karine Léon Mireille Noël Odette Pascal Réjeanne Sylvain Thérèse Yvan'.split(' ');
const family = 'Bouchard Côté Dubé Fortin Gagnon Hébert Lavoie Morin Nadeau Ouellet Pelletier Roy Simard Tremblay Vaillancourt Levesque Bélanger Girard'.split(' ');
const person = () => `${pick(given)} ${pick(family)}`;

function clinic(id, name, specialty, doctors, minutes) {
  const info = {
    id,
    name,
    zone: 'America/Toronto',
    offset_minutes: -offset,
    today,
    mode: 'automatic',
    practitioners: doctors.map((d, i) => ({ id: `${id}-p${i + 1}`, name: d, specialty })),
    places: [{ id: `${id}-l1`, name: 'Pavillon principal', address: '120, rue Saint-Jean', point: { lat: 46.8, lon: -71.2 } }],
  };
  const cards = new Map();
  const start = plus(today, -((new Date(`${today}T12:00:00Z`).getUTCDay() + 6) % 7));
  for (let d = 0; d < 12; d++) {
    const day = plus(start, d);
    if ([0, 6].includes(new Date(`${day}T12:00:00Z`).getUTCDay()) && !(many && d < 7)) continue;
    for (const p of info.practitioners) {
      for (let m = 8 * 60; m + minutes <= 17 * 60; m += minutes) {
        if (m >= 12 * 60 && m < 13 * 60) continue;
        if (!many && rnd() < 0.06) continue;
        const hhmm = `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`;
        const s = at(day, hhmm);
        const e = s + minutes * 60_000;
        const card = {
          id: `${day.replaceAll('-', '')}T${hhmm.replace(':', '')}Z-${p.id}`,
          state: rnd() < 0.9 ? 'reserved' : 'free',
          revision: 1,
          day,
          from: hhmm,
          until: timeOf(e),
          start: iso(s),
          end: iso(e),
          practitioner: p.id,
          place: `${id}-l1`,
          specialty,
        };
        if (card.state === 'reserved') card.patient = person();
        cards.set(card.id, card);
      }
    }
  }
  return {
    info,
    cards,
    seq: 1,
    epoch: String(Date.now()),
    log: [],
    sockets: new Set(),
    health: { status: 'healthy', since: iso(Date.now() - 7_200_000), last_good: iso(Date.now() - 2000), open: 0 },
    fault: '',
    details: new Map(),
    people: Array.from({ length: 120 }, (_, i) => ({
      entry: `e${String(i).padStart(4, '0')}`,
      name: person(),
      status: i % 17 === 0 ? 'snoozed' : i % 11 === 0 ? 'placed' : 'waiting',
      specialty,
      class: Math.floor(rnd() * 4),
      joined: iso(Date.now() - rnd() * 120 * 86_400_000),
      channels: rnd() < 0.3 ? ['sms'] : rnd() < 0.5 ? ['sms', 'voice'] : ['email', 'sms'],
      offered: Math.floor(rnd() * 3),
    })),
  };
}

const clinics = new Map(
  [
    clinic('derm-levis', 'Dermatologie de la Rive', 'dermatologie', ['Dre Anne Roy', 'Dr Marc Tessier', 'Dre Léa Gauthier', 'Dr Paul Nguyen'], many ? 15 : 20),
    clinic('mf-limoilou', 'Médecine familiale Limoilou', 'médecine familiale', ['Dre Julie Fortin', 'Dr Karim Haddad', 'Dre Sophie Bédard'], 30),
  ].map((c) => [c.info.id, c]),
);

function publish(c, delta) {
  const d = { seq: ++c.seq, ...delta };
  c.log.push(d);
  if (c.log.length > 500) c.log.shift();
  const text = JSON.stringify({ deltas: [d] });
  for (const s of c.sockets) s.send(text);
  dmeChanged(c);
}

function change(c, id, to) {
  const old = c.cards.get(id);
  const card = { ...old, ...to, revision: old.revision + 1 };
  for (const k of Object.keys(card)) if (card[k] === undefined) delete card[k];
  c.cards.set(id, card);
  publish(c, { cards: [card] });
  return card;
}

// ---- phones
const threads = new Map();
const events = new Set();
let carrier = { down: false, fail_share: 0, delay_milli: 0 };
let trickle = false;
let n = 0;

const emit = (event, data) => {
  for (const r of events) r.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
};
function item(name, it) {
  let t = threads.get(name);
  if (!t) {
    const k = threads.size;
    t = { id: `t${k}`, name, phone: `+1418555${String(1000 + k)}`, email: `p${k}@example.org`, lang: k % 4 === 3 ? 'en' : 'fr', last: '', items: [] };
    threads.set(name, t);
  }
  t.items.push({ id: `i${++n}`, at: iso(Date.now()), mine: false, status: 'delivered', text: '', ...it });
  t.last = iso(Date.now());
  emit('thread', t);
  return t;
}

// ---- the record system
function record(c) {
  return {
    clinic: c.info.id,
    name: c.info.name,
    fault: c.fault,
    practitioners: c.info.practitioners.map(({ id, name }) => ({ id, name })),
    appointments: [...c.cards.values()]
      .filter((k) => k.day >= today)
      .map((k) => ({
        slot: k.id,
        ...(k.patient ? { id: `a-${k.id}` } : {}),
        practitioner: k.practitioner,
        start: k.start,
        end: k.end,
        status: k.patient ? 'booked' : 'free',
        ...(k.patient ? { patient: k.patient } : {}),
        ...(k.state === 'confirmed' ? { relais: true } : {}),
      })),
    changed: iso(Date.now()),
  };
}
let pendingDme = new Set();
function dmeChanged(c) {
  if (rate || pendingDme.has(c)) return;
  pendingDme.add(c);
  setTimeout(() => (pendingDme.delete(c), emit('dme', record(c))), 50);
}

// ---- the life of a slot, much shortened
function free(c, id) {
  const card = c.cards.get(id);
  c.details.set(id, { asked: [], timeline: [] });
  note(c, id, 'opened');
  const suspended = c.health.status !== 'healthy';
  change(c, id, {
    state: suspended ? 'suspended' : 'freed',
    patient: undefined,
    hold: iso(Date.now() + 4000),
    deadline: iso(Date.parse(card.start) - 1_800_000),
  });
  if (suspended) setHealth(c, { open: c.health.open + 1 });
  setTimeout(() => c.cards.get(id)?.state === 'freed' && wave(c, id), 4000);
}
function note(c, id, event, more = {}) {
  c.details.get(id)?.timeline.push({ seq: n++, at: iso(Date.now()), event, ...more });
}
function wave(c, id) {
  const card = c.cards.get(id);
  const d = c.details.get(id) ?? { asked: [], timeline: [] };
  c.details.set(id, d);
  const w = (card.wave ?? 0) + 1;
  const people = c.people.filter((p) => p.status === 'waiting' && !d.asked.some((a) => a.patient === p.name)).slice(w * 3, w * 3 + 3);
  note(c, id, 'wave', { detail: { wave: String(w), asked: '3' } });
  people.forEach((p, i) => {
    d.asked.push({
      offer: `${id}.1.${d.asked.length + 1}`,
      patient: p.name,
      wave: w,
      at: iso(Date.now()),
      status: 'pending',
      deliveries: [
        { channel: 'sms', kind: 'offer', status: i === 2 ? 'failed' : 'delivered', ...(i === 2 ? { reason: 'landline' } : {}), at: iso(Date.now()) },
        ...(i === 2 ? [{ channel: 'voice', kind: 'offer', status: 'answered' }] : i === 1 ? [{ channel: 'email', kind: 'offer', status: 'accepted' }] : []),
      ],
    });
    note(c, id, 'offered', { who: p.name });
    const link = `http://127.0.0.1:${port}/o/${id}${i}`;
    const text = `${c.info.name} : une place s’est libérée ${card.day} à ${card.from.replace(':', ' h ')}. Répondez OUI pour la prendre, NON pour passer. ${link} ARRET pour ne plus recevoir de messages.`;
    if (i === 2) item(p.name, { kind: 'call', status: 'ringing', said: [] });
    else item(p.name, { kind: 'sms', text, links: [link] });
    if (i === 1) {
      item(p.name, {
        kind: 'email',
        subject: `Une place s’est libérée à ${c.info.name}`,
        text,
        html: `<html lang="fr"><body style="font-family:sans-serif;color:#17212b"><h2 style="color:#0f5c63">Une place s’est libérée</h2><p>${card.day} à ${card.from}</p><p><a href="${link}" style="display:inline-block;padding:12px 20px;background:#0f5c63;color:#fff">Voir et répondre</a></p><p>Vous gardez votre place sur la liste si vous ne répondez pas.</p></body></html>`,
        links: [link, `${link}/leave`],
      });
    }
  });
  change(c, id, { state: 'offered', wave: w, hold: undefined, asked: d.asked.length, pending: d.asked.filter((a) => a.status === 'pending').length, next: iso(Date.now() + 600_000) });
}
function answer(name, yes) {
  for (const c of clinics.values()) {
    for (const [id, d] of c.details) {
      const a = d.asked.find((x) => x.patient === name);
      if (!a) continue;
      const card = c.cards.get(id);
      a.replied = iso(Date.now());
      a.by = 'sms';
      if (card.state === 'offered' && yes) {
        a.status = 'won';
        for (const o of d.asked) if (o !== a) o.status = 'lost';
        note(c, id, 'claimed', { who: name });
        change(c, id, { state: 'claimed', patient: name, next: undefined });
        setTimeout(() => {
          note(c, id, 'booked', { who: name });
          change(c, id, { state: 'confirmed' });
          item(name, { kind: 'sms', text: `C’est confirmé : ${card.day} à ${card.from.replace(':', ' h ')}. À bientôt!` });
        }, 500);
        return;
      }
      if (card.state === 'offered') {
        a.status = 'declined';
        note(c, id, 'declined', { who: name });
        change(c, id, { pending: card.pending - 1, declined: (card.declined ?? 0) + 1 });
        return;
      }
      item(name, { kind: 'sms', text: 'Cette place vient d’être prise. Vous gardez votre place sur la liste.' });
      return;
    }
  }
}
function setHealth(c, h) {
  c.health = { ...c.health, ...h };
  publish(c, { health: c.health });
}
function setFault(c, fault) {
  c.fault = fault;
  if (fault) {
    const open = [...c.cards.values()].filter((k) => ['freed', 'offered'].includes(k.state));
    setHealth(c, { status: 'suspended', since: iso(Date.now()), fault: 'unreachable', detail: 'connection refused', retry_at: iso(Date.now() + 20_000), open: open.length });
    for (const k of open) {
      note(c, k.id, 'suspended');
      change(c, k.id, { state: 'suspended' });
    }
  } else {
    setHealth(c, { status: 'checking', since: iso(Date.now()), fault: undefined });
    setTimeout(() => {
      for (const k of [...c.cards.values()].filter((x) => x.state === 'suspended')) change(c, k.id, { state: k.asked ? 'offered' : 'freed', next: iso(Date.now() + 400_000) });
      setHealth(c, { status: 'healthy', since: iso(Date.now()), open: 0, retry_at: undefined, last_good: iso(Date.now()) });
    }, 1500);
  }
  emit('dme', record(c));
}

// A day in the middle of things, so that every state shows.
const later = Date.now() + 1_800_000;
for (const c of clinics.values()) {
  const ids = [...c.cards.values()].filter((k) => Date.parse(k.start) > later && k.state === 'reserved').map((k) => k.id);
  const take = (i) => ids[i * 5 + 2];
  if (!ids.length) continue;
  const deadline = (id) => iso(Date.parse(c.cards.get(id).start) - 1_800_000);
  const put = (id, to) => c.cards.set(id, { ...c.cards.get(id), patient: undefined, revision: 3, deadline: deadline(id), ...to });
  put(take(0), { state: 'offered', asked: 6, pending: 5, declined: 1, wave: 2, next: iso(Date.now() + 723_000) });
  c.details.set(take(0), { asked: [], timeline: [] });
  note(c, take(0), 'opened');
  const w = take(0);
  wave(c, w);
  wave(c, w);
  put(take(1), { state: 'approval' });
  put(take(2), { state: 'freed', hold: iso(Date.now() + 95_000) });
  put(take(3), { state: 'confirmed', patient: person(), asked: 4 });
  put(take(4), { state: 'expired', asked: 9, why: '' });
  put(take(5), { state: 'suspended', asked: 3 });
  put(take(6), { state: 'offered', asked: 3, pending: 3, wave: 1, paused: true });
  put(take(7), { state: 'claimed', patient: person(), asked: 3 });
  put(take(8), { state: 'offered', asked: 12, pending: 9, wave: 4, next: iso(Date.now() + 45_000) });
}

if (rate) {
  const c = [...clinics.values()][0];
  const ids = [...c.cards.keys()].slice(0, many || undefined);
  for (const id of [...c.cards.keys()].slice(many || ids.length)) c.cards.delete(id);
  setInterval(() => {
    const id = pick(ids);
    const s = pick(['offered', 'freed', 'confirmed', 'reserved']);
    change(c, id, { state: s, patient: s === 'confirmed' || s === 'reserved' ? person() : undefined, asked: 3, next: iso(Date.now() + 600_000) });
  }, 1000 / rate);
}

// ---- HTTP
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
const csp = (demo) =>
  `default-src 'none'; script-src 'self'; style-src 'self'${demo ? " 'unsafe-inline'" : "; style-src-attr 'unsafe-inline'"}; img-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'`;
const signedIn = (req) => /mock=in/.test(req.headers.cookie ?? '');

const server = createServer(async (req, res) => {
  const url = new URL(req.url, 'http://x');
  const path = url.pathname;
  let body = '';
  for await (const chunk of req) body += chunk;
  const data = body ? JSON.parse(body) : {};
  const json = (v, status = 200) => res.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(v));
  const problem = (status, code, detail, more = {}) => json({ title: code, status, code, detail, ...more }, status);
  const done = () => res.writeHead(204).end();

  if (path === '/api/v1/session' && req.method === 'POST') {
    if (data.account !== 'accueil' || data.password !== 'accueil') return problem(401, 'unsigned', 'The account or password is not right.');
    res.setHeader('Set-Cookie', 'mock=in; Path=/; HttpOnly');
    return json({});
  }
  if (path === '/api/v1/session') {
    res.setHeader('Set-Cookie', 'mock=; Path=/; Max-Age=0');
    return done();
  }
  if (path.startsWith('/api/') && !signedIn(req)) return problem(401, 'unsigned', 'Sign in first.');
  if (path === '/api/v1/me') return json({ account: 'accueil', clinics: [...clinics.values()].map((c) => c.info), access: [...clinics.keys()].map((clinic) => ({ clinic, role: 'administrator', may: ['look', 'work', 'steer', 'arrange'] })), sandbox: true, version: 'mock' });
  let m = path.match(/^\/api\/v1\/clinics\/([^/]+)\/(.*)$/);
  if (m) {
    const c = clinics.get(m[1]);
    if (!c) return problem(404, 'not_found', 'No such clinic.');
    const rest = m[2];
    const slot = rest.match(/^slots\/([^/]+)(\/actions)?$/);
    if (slot) {
      const id = decodeURIComponent(slot[1]);
      const card = c.cards.get(id);
      if (!card) return problem(404, 'not_found', 'No such slot.');
      if (!slot[2]) {
        const d = c.details.get(id) ?? { asked: [], timeline: [] };
        const open = ['freed', 'offered', 'approval', 'suspended'].includes(card.state);
        const others = open
          ? c.people.slice(0, 30).map((p, i) => ({ entry: p.entry, patient: p.name, class: p.class, waited: Math.round((Date.now() - Date.parse(p.joined)) / 86_400_000), offered: p.offered, ...(i < 14 ? { rank: i + 1 } : { obstacle: pick(['availability', 'cap', 'notice', 'practitioner', 'hours']) }) }))
          : [];
        return json({ card, asked: d.asked, others, timeline: d.timeline });
      }
      if (data.revision !== card.revision) return problem(409, 'conflict', 'The slot was changed meanwhile.', { card: { ...card, by: 'marie' } });
      const a = data.action;
      if (a === 'approve') free(c, id);
      else if (a === 'pause') change(c, id, { paused: true, by: 'accueil' });
      else if (a === 'resume') change(c, id, { paused: undefined, by: 'accueil' });
      else if (a === 'send_now') wave(c, id);
      else if (a === 'withdraw') change(c, id, { state: 'expired', why: 'withdrawn', by: 'accueil' });
      else if (a === 'book') change(c, id, { state: 'confirmed', patient: c.people.find((p) => p.entry === data.entry)?.name });
      return json(c.cards.get(id));
    }
    if (rest === 'waitlist/search') {
      const q = (data.search ?? '').toLowerCase();
      const all = c.people.filter((p) => p.name.toLowerCase().includes(q) && p.entry > (data.after ?? ''));
      const people = all.slice(0, data.limit);
      return json({ people, ...(all.length > people.length ? { next: people.at(-1).entry } : {}) });
    }
    if (rest === 'waitlist' && req.method === 'POST') {
      const p = { entry: `e${String(c.people.length).padStart(4, '0')}`, name: `${data.given} ${data.family}`, status: 'waiting', specialty: data.specialty, class: data.class ?? 0, joined: iso(Date.now()), channels: data.channels, offered: 0 };
      c.people.push(p);
      return json(p, 201);
    }
    if (rest === 'hold') setHealth(c, { status: data.hold ? 'suspended' : 'healthy', held: data.hold || undefined, since: iso(Date.now()) });
    if (rest === 'hold' || rest === 'check' || rest === 'health') return json(c.health);
    return problem(404, 'not_found', 'No such call.');
  }

  if (path === '/sandbox/api/state') {
    return json({ threads: [...threads.values()], records: [...clinics.values()].map(record), carrier, trickle });
  }
  if (path === '/sandbox/api/events') {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    res.write(': hello\n\n');
    events.add(res);
    req.on('close', () => events.delete(res));
    return;
  }
  m = path.match(/^\/sandbox\/api\/threads\/([^/]+)\/text$/);
  if (m) {
    const t = [...threads.values()].find((x) => x.id === m[1]);
    if (!t) return json({ error: 'No such phone.' }, 404);
    item(t.name, { kind: 'sms', mine: true, text: data.text });
    if (/^(oui|yes|1)$/i.test(data.text)) answer(t.name, true);
    else if (/^(non|no|2)$/i.test(data.text)) answer(t.name, false);
    return done();
  }
  m = path.match(/^\/sandbox\/api\/calls\/([^/]+)\/(\w+)$/);
  if (m) {
    for (const t of threads.values()) {
      const i = t.items.find((x) => x.id === m[1]);
      if (!i) continue;
      const say = (who, what) => i.said.push({ at: iso(Date.now()), who, say: what });
      if (m[2] === 'answer') {
        i.status = 'live';
        say('relais', 'Bonjour, ici la clinique. Une place s’est libérée. Appuyez sur 1 pour la prendre, sur 2 pour passer.');
      } else if (m[2] === 'press') {
        say('person', data.key);
        say('relais', data.key === '1' ? 'Merci, c’est noté. Au revoir.' : 'Entendu, vous gardez votre place. Au revoir.');
        i.status = 'ended';
        answer(t.name, data.key === '1');
      } else i.status = i.status === 'ringing' ? 'missed' : 'ended';
      emit('thread', t);
    }
    return done();
  }
  if (path === '/sandbox/api/carrier') {
    carrier = data;
    return done();
  }
  if (path === '/sandbox/api/trickle') {
    trickle = data.on;
    return done();
  }
  m = path.match(/^\/sandbox\/api\/dme\/([^/]+)\/(appointments|slots|fault)(?:\/([^/]+)\/(\w+))?$/);
  if (m) {
    const c = clinics.get(m[1]);
    if (m[2] === 'fault') setFault(c, data.fault);
    else if (m[2] === 'appointments') free(c, decodeURIComponent(m[3]).slice(2));
    else change(c, decodeURIComponent(m[3]), { state: 'reserved', patient: person() });
    return done();
  }

  const page = path === '/' || path === '/demo' || path === '/login';
  const file = normalize(join(dist, page ? 'index.html' : path));
  if (!file.startsWith(dist) || !existsSync(file)) return res.writeHead(404).end('not found');
  const head = { 'Content-Type': types[extname(file)] ?? 'application/octet-stream' };
  if (page) head['Content-Security-Policy'] = csp(path === '/demo');
  res.writeHead(200, head);
  createReadStream(file).pipe(res);
});

const feed = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
  if (!signedIn(req)) return socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
  feed.handleUpgrade(req, socket, head, (ws) => {
    const q = new URL(req.url, 'http://x').searchParams;
    const c = clinics.get(q.get('clinic'));
    if (!c) return ws.close(4004, 'no such clinic');
    const seq = Number(q.get('seq'));
    const missed = c.log.filter((d) => d.seq > seq);
    if (q.get('epoch') === c.epoch && (missed[0]?.seq === seq + 1 || seq === c.seq)) {
      if (missed.length) ws.send(JSON.stringify({ deltas: missed }));
    } else {
      ws.send(JSON.stringify({ snapshot: { epoch: c.epoch, seq: c.seq, now: iso(Date.now()), clinic: c.info, health: c.health, cards: [...c.cards.values()] } }));
    }
    c.sockets.add(ws);
    ws.on('close', () => c.sockets.delete(ws));
  });
});
setInterval(() => {
  for (const c of clinics.values()) for (const s of c.sockets) s.send(JSON.stringify({ ping: { seq: c.seq, now: iso(Date.now()) } }));
}, 10_000);

server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
