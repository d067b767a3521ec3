// Passkeys: what travels as base64url text becomes bytes for the browser, and back. Browsers have functions for
// this only since 2025.
import { access, type Challenge } from './api';

const bytes = (text: string) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
const text = (b: ArrayBuffer) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

/** Whether this browser can hold or show passkeys. */
export const possible = () => window.isSecureContext && typeof PublicKeyCredential === 'function';

type Described = { id: string; type: 'public-key'; transports?: AuthenticatorTransport[] };
const described = (list: Described[] | undefined) => list?.map((c) => ({ ...c, id: bytes(c.id) }));

/** Makes a passkey and adds it to the account. */
export async function add(name: string) {
  const c = await access.beginPasskey();
  const { extensions: _, ...o } = c.options as PublicKeyCredentialCreationOptionsJSON;
  const made = (await navigator.credentials.create({
    publicKey: {
      ...o,
      challenge: bytes(o.challenge),
      user: { ...o.user, id: bytes(o.user.id) },
      excludeCredentials: described(o.excludeCredentials as Described[] | undefined),
    } as PublicKeyCredentialCreationOptions,
  })) as PublicKeyCredential;
  const r = made.response as AuthenticatorAttestationResponse;
  await access.addPasskey({
    ceremony: c.ceremony,
    name,
    answer: {
      id: made.id,
      rawId: text(made.rawId),
      type: made.type,
      clientExtensionResults: made.getClientExtensionResults(),
      response: { clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject), transports: r.getTransports?.() ?? [] },
    },
  });
}

/** Signs in with a passkey of this device. */
export async function signIn() {
  const c: Challenge = await access.beginPasskeySignIn();
  const { extensions: _, ...o } = c.options as PublicKeyCredentialRequestOptionsJSON;
  const got = (await navigator.credentials.get({
    publicKey: { ...o, challenge: bytes(o.challenge), allowCredentials: described(o.allowCredentials as Described[] | undefined) } as PublicKeyCredentialRequestOptions,
  })) as PublicKeyCredential;
  const r = got.response as AuthenticatorAssertionResponse;
  await access.passkeySignIn({
    ceremony: c.ceremony,
    answer: {
      id: got.id,
      rawId: text(got.rawId),
      type: got.type,
      clientExtensionResults: got.getClientExtensionResults(),
      response: {
        clientDataJSON: text(r.clientDataJSON),
        authenticatorData: text(r.authenticatorData),
        signature: text(r.signature),
        userHandle: r.userHandle ? text(r.userHandle) : null,
      },
    },
  });
}
