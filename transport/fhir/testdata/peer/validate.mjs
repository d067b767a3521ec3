// Validates FHIR R4 with the npm package "fhir": one JSON resource a line comes in, and for each
// the list of its errors goes out.
import readline from 'node:readline';
import { Fhir } from 'fhir/fhir.js';

const fhir = new Fhir();
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { messages } = fhir.validate(JSON.parse(line), { errorOnUnexpected: true });
  console.log(JSON.stringify((messages ?? []).filter((m) => m.severity === 'error' || m.severity === 'fatal').map((m) => `${m.location}: ${m.message}`)));
}
