// Asks Twilio's own library for Node about what Relais wrote. One JSON question a line on the
// standard input, one JSON answer a line on the standard output.
//
//   {"validate": {"token", "signature", "url", "form"}}      true or false
//   {"build": {"name", "attrs", "text", "in"}}               the same document, built by the library
//   {"schema": {"verb", "attrs"}}                            what its types do not know, as sentences
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(import.meta.url);
const twilio = require('twilio');
const types = readFileSync(new URL('./node_modules/twilio/lib/twiml/VoiceResponse.d.ts', import.meta.url), 'utf8');

function build(doc) {
  const texts = doc.in.some((v) => v.name === 'Message');
  const root = texts ? new twilio.twiml.MessagingResponse() : new twilio.twiml.VoiceResponse();
  const add = (to, v) => {
    const method = v.name.toLowerCase();
    const args = ['Gather', 'Hangup', 'Dial'].includes(v.name) ? [v.attrs] : [v.attrs, v.text];
    const made = to[method](...args);
    for (const child of v.in) add(made, child);
  };
  for (const v of doc.in) add(root, v);
  return root.toString();
}

// words of a union type: type Name = "a" | "b";
function union(name) {
  const m = types.match(new RegExp(`type ${name} = ([^;]+);`));
  return m ? new Set(m[1].split('|').map((s) => JSON.parse(s.trim()))) : undefined;
}

function schema({ verb, attrs }) {
  const wrong = [];
  const m = types.match(new RegExp(`interface ${verb}Attributes \\{([^}]*)\\}`));
  const known = new Map([...(m?.[1] ?? '').matchAll(/^\s*(\w+)\?: ([^;]+);/gm)].map((x) => [x[1], x[2]]));
  for (const [name, value] of Object.entries(attrs)) {
    const type = known.get(name);
    if (!type) wrong.push(`${verb} has no ${name}`);
    const words = type && union(type.replace(/^VoiceResponse\./, '').replace(/\[\]$/, ''));
    for (const part of type?.endsWith('[]') ? value.split(' ') : [value]) {
      if (words && !words.has(part)) wrong.push(`${verb} ${name} cannot be ${part}`);
    }
    if (type === 'number' && !/^\d+$/.test(value)) wrong.push(`${verb} ${name} is not a number`);
    if (type === 'boolean' && !['true', 'false'].includes(value)) wrong.push(`${verb} ${name} is neither true nor false`);
  }
  return wrong;
}

for await (const line of createInterface({ input: process.stdin })) {
  const q = JSON.parse(line);
  let answer;
  if (q.validate) answer = twilio.validateRequest(q.validate.token, q.validate.signature, q.validate.url, q.validate.form);
  if (q.build) answer = build(q.build);
  if (q.schema) answer = schema(q.schema);
  console.log(JSON.stringify(answer));
}
