import { readFile } from 'node:fs/promises'
import t from 'tap'
import { AdmissionError } from '../../client/admission/errors.ts'
import { CeremonyError } from '../../client/ceremony/errors.ts'
import { CommandError } from '../../client/commands/errors.ts'
import { EXIT_CODES, failureOf } from '../../client/exit.ts'
import { HttpError } from '../../client/http-errors.ts'
import { MovingError } from '../../client/moving/errors.ts'
import { LockError } from '../../client/pinning/errors.ts'
import { PolicyError } from '../../client/policy/errors.ts'
import { PublishError } from '../../client/publish/errors.ts'
import { RegistryError, REPOSITORY_MEANT } from '../../client/registry/errors.ts'
import { ClientError } from '../../client/trust/errors.ts'
import { VerdictError } from '../../client/verdict/errors.ts'
import { VerifierError } from '../../client/verifier/errors.ts'
import { KeyError } from '../../keys/errors.ts'
import type { AnyKeyError } from '../../keys/errors.ts'
import { keyHint } from '../../server/key-hint.ts'
import { Problem, STATUS } from '../../server/problem.ts'
import { REFUSAL_STATUS } from '../../server/signer/refusal.ts'
import { TrustError } from '../../tuf/errors.ts'

/**
 * Facts that fit every code: what is no list of signatures and no command to type is a list of one text. A next step that
 * only some have is left out: the others have to have one as well.
 */
const ANYTHING = new Proxy(
  { mend: 'chmod 400 /k', roles: [{ role: 'r', need: 1, have: 0, missing: ['k'] }] } as never,
  { get: (known, fact) => (fact === 'next' ? undefined : (Reflect.get(known, fact) ?? textAndList('x'))) },
)
function textAndList(text: string): unknown {
  return Object.assign(Object(text) as object, { map: () => [text], join: () => text })
}

const doc = await readFile(new URL('../../docs/errors.md', import.meta.url), 'utf8')

/** Code to number, of the table under one heading. */
function documented(heading: string): Record<string, number> {
  const section = doc.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  return Object.fromEntries(
    [...section.matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(([, code = '', number]) => [code, Number(number)]),
  )
}

await t.test('docs/errors.md says of every code what it ends with, and names no other', async (t) => {
  for (const [name, codes] of Object.entries(EXIT_CODES)) t.same(documented(name), codes, name)
  t.same(documented('Answers of the server'), STATUS)
  t.same(documented('Refusals of the signer'), REFUSAL_STATUS)
  t.equal(doc.split(/^## /m).length, Object.keys(EXIT_CODES).length + 3)
})

/** Of the server's keys, which no command of the client opens; and where the message itself is the next step. */
const WITHOUT_HINT = new Set(['KEK_MISSING', 'KEK_MALFORMED', 'SEALED_OTHER_KEK', 'SEALED_BROKEN', 'USAGE'])
const CLASSES = {
  TrustError,
  ClientError,
  VerdictError,
  VerifierError,
  AdmissionError,
  PolicyError,
  LockError,
  RegistryError,
  KeyError,
  HttpError,
  PublishError,
  CommandError,
  MovingError,
  CeremonyError,
} satisfies Record<keyof typeof EXIT_CODES, unknown>

await t.test('every refusal that a user can cause says what to do next', (t) => {
  for (const [name, ErrorClass] of Object.entries(CLASSES)) {
    for (const code of Object.keys(EXIT_CODES[name as keyof typeof EXIT_CODES])) {
      const error = new (ErrorClass as new (code: string, detail: unknown) => Error)(code, ANYTHING)
      const { hint = '' } = failureOf(error)
      t.equal(hint !== '', !WITHOUT_HINT.has(code), `${name} ${code}`)
      t.notMatch(hint, /^[A-Z](?![A-Z])|\.$/, 'lower case, no full stop')
    }
  }
  t.end()
})

await t.test('so does every one of the server', (t) => {
  const errors = [
    ...Object.keys(EXIT_CODES.KeyError)
      .filter((code) => /^(?:KEK|SEALED|SIGNER|SIGNATURE|PIN|KEYSTORE|KEY_PERM)/.test(code))
      .map((code) => ({ code, hint: keyHint(new KeyError(code as 'PIN_WRONG', ANYTHING) as AnyKeyError) })),
    ...(['NAME_TAKEN', 'NOT_FOUND', 'INVALID_REQUEST', 'INVALID_REPOSITORY'] as const).map(
      (code) => new Problem(code, ANYTHING),
    ),
  ]
  for (const { code, hint } of errors) t.match(hint, /^[^A-Z].*[^.]$/, code)
  t.end()
})

const ERRORS: Record<string, { error: unknown; code: string; exit: number; hint?: RegExp }> = {
  'metadata that must not be trusted': {
    error: new TrustError('EXPIRED', { role: 'timestamp', expired: 0, now: 1 }),
    code: 'EXPIRED',
    exit: 1,
    hint: /clock/,
  },
  'a timestamp that is too old, which the server signs': {
    error: new TrustError('EXPIRED', { role: 'timestamp', expired: 0, now: 1 }),
    code: 'EXPIRED',
    exit: 1,
    hint: /server no longer re-signs/,
  },
  'a root that is too old, which no server signs': {
    error: new TrustError('EXPIRED', { role: 'root', expired: 0, now: 1 }),
    code: 'EXPIRED',
    exit: 1,
    hint: /clock right(?!.*re-signs).*its owner.*tagseal rotate REPO root/,
  },
  'tags that are too old, which a team signs': {
    error: new TrustError('EXPIRED', { role: 'team', expired: 0, now: 1 }),
    code: 'EXPIRED',
    exit: 1,
    hint: /clock right(?!.*re-signs).*tagseal sign/,
  },
  'a file of the other dialect than the one that is pinned': {
    error: new TrustError('MALFORMED', { what: 'timestamp._type', got: '"timestamp" where Timestamp was due' }),
    code: 'MALFORMED',
    exit: 1,
    hint: /server that was meant/,
  },
  'a server that cannot be reached': {
    error: new ClientError('NETWORK', { url: 'https://x', reason: 'ECONNREFUSED' }),
    code: 'NETWORK',
    exit: 3,
    hint: /https:\/\/x right, and running/,
  },
  'a server whose authority nobody named': {
    error: new ClientError('NETWORK', { url: 'https://x/v2/a', reason: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' }),
    code: 'NETWORK',
    exit: 3,
    hint: /--ca FILE or TAGSEAL_CA; tagseal trust add PATTERN --ca FILE keeps it with a pin, "ca: FILE" with the server of a rule/,
  },
  'a server whose chain does not reach a root': {
    error: new ClientError('NETWORK', { url: 'https://x/v2/a', reason: 'UNABLE_TO_GET_ISSUER_CERT' }),
    code: 'NETWORK',
    exit: 3,
    hint: /must hold the root of the chain, and the server must send the certificates between/,
  },
  'a server whose certificate signed itself, when publishing': {
    error: new HttpError('NETWORK', { url: 'https://x/v2/a', reason: 'DEPTH_ZERO_SELF_SIGNED_CERT' }),
    code: 'NETWORK',
    exit: 3,
    hint: /--ca FILE/,
  },
  'a server whose certificate ran out': {
    error: new ClientError('NETWORK', { url: 'https://x/v2/a', reason: 'CERT_HAS_EXPIRED' }),
    code: 'NETWORK',
    exit: 3,
    hint: /clock.*its certificate or that of an authority above it has expired/,
  },
  'a server whose certificate is not valid yet, which no renewal mends': {
    error: new ClientError('NETWORK', { url: 'https://x/v2/a', reason: 'CERT_NOT_YET_VALID' }),
    code: 'NETWORK',
    exit: 3,
    hint: /machine's clock right(?!.*renew)/,
  },
  'a server that speaks TLS where plain http was said': {
    error: new ClientError('NETWORK', { url: 'http://127.0.0.1:4480/v2/a', reason: 'ECONNRESET' }),
    code: 'NETWORK',
    exit: 3,
    hint: /it may speak TLS: https:\/\/127\.0\.0\.1:4480;/,
  },
  'a connection that was cut where TLS was said': {
    error: new ClientError('NETWORK', { url: 'https://x/v2/a', reason: 'ECONNRESET' }),
    code: 'NETWORK',
    exit: 3,
    hint: /^is the trust server/,
  },
  'a token that a server of metadata does not take': {
    error: new ClientError('UNAUTHORIZED', { url: 'https://x', sent: '/token' }),
    code: 'UNAUTHORIZED',
    exit: 3,
    hint: /tagseal-server token list/,
  },
  'no token for a server of metadata': {
    error: new ClientError('UNAUTHORIZED', { url: 'https://x' }),
    code: 'UNAUTHORIZED',
    exit: 3,
    hint: /--token-file FILE/,
  },
  'a server whose certificate has another name': {
    error: new ClientError('NETWORK', { url: 'https://x/v2/a', reason: 'ERR_TLS_CERT_ALTNAME_INVALID' }),
    code: 'NETWORK',
    exit: 3,
    hint: /another name/,
  },
  'a repository that nobody pinned': {
    error: new ClientError('NOT_PINNED', { repository: 'x.io/a' }),
    code: 'NOT_PINNED',
    exit: 1,
    hint: /tagseal init.*tagseal trust add x\.io\/a --key ID/,
  },
  'a text that is no image': {
    error: new RegistryError('REFERENCE_INVALID', { text: 'A', why: 'it is not' }),
    code: 'REFERENCE_INVALID',
    exit: 2,
    hint: /registry\.example\.com/,
  },
  'an image where its repository is meant, without asking for a tag': {
    error: new RegistryError('REFERENCE_INVALID', { text: 'x.io/a:1', why: `${REPOSITORY_MEANT}, without a tag` }),
    code: 'REFERENCE_INVALID',
    exit: 2,
    hint: /team\/app$/,
  },
  'a tag that was not pushed': {
    error: new RegistryError('UNKNOWN_MANIFEST', { what: 'x.io/a:1' }),
    code: 'UNKNOWN_MANIFEST',
    exit: 1,
    hint: /push it first/,
  },
  'a tag that none of the keys here may sign': {
    error: new PublishError('NO_SIGNING_KEY', { role: 'r', need: 1, have: 0, keys: ['k'], repository: 'x.io/a' }),
    code: 'NO_SIGNING_KEY',
    exit: 1,
    hint: /needed: k; tagseal delegation list x\.io\/a/,
  },
  'a role that was delegated and never used': {
    error: new TrustError('ROLE_NOT_LISTED', { role: 'r' }),
    code: 'ROLE_NOT_LISTED',
    exit: 1,
    hint: /tagseal delegation remove/,
  },
  'a passphrase file that is empty': {
    error: new KeyError('PASSPHRASE_UNUSABLE', { source: 'f', why: 'it is empty' }),
    code: 'PASSPHRASE_UNUSABLE',
    exit: 2,
    hint: /--passphrase-file/,
  },
  'a PIN file that is empty': {
    error: new KeyError('PIN_UNUSABLE', { source: 'f', why: 'it is empty' }),
    code: 'PIN_UNUSABLE',
    exit: 2,
    hint: /--pin-file/,
  },
  'a key that no file of ours has': {
    error: new KeyError('KEY_NOT_FOUND', { wanted: 'nobody', where: '/keys' }),
    code: 'KEY_NOT_FOUND',
    exit: 2,
    hint: /^tagseal key list$/,
  },
  'a key that an agent does not have': {
    error: new KeyError('KEY_NOT_FOUND', { wanted: 'ssh:nobody', where: 'the ssh-agent', among: 'ssh:' }),
    code: 'KEY_NOT_FOUND',
    exit: 2,
    hint: /^tagseal key list ssh:$/,
  },
  'a token that is not there, with what a shell must not split': {
    error: new KeyError('KEY_NOT_FOUND', { wanted: 'the token "x"', where: 'm', among: 'pkcs11:token=a;object=b' }),
    code: 'KEY_NOT_FOUND',
    exit: 2,
    hint: /^tagseal key list 'pkcs11:token=a;object=b'$/,
  },
  'a key file that others can read, with the command that mends it': {
    error: new KeyError('KEY_PERMISSIONS', { path: '/k', problem: 'can be read', mend: 'chmod 400 /k' }),
    code: 'KEY_PERMISSIONS',
    exit: 1,
    hint: /^chmod 400 \/k$/,
  },
  'a passphrase that does not open a key here, though it opens others': {
    error: new KeyError('PASSPHRASE_WRONG', { key: 'k' }),
    code: 'PASSPHRASE_WRONG',
    exit: 1,
    hint: /different passphrases: --passphrase-file FILE(?!.*--old-passphrase-file)/,
  },
  'a passphrase that does not open a key that is taken in': {
    error: new KeyError('PASSPHRASE_WRONG', { key: 'k', isForeign: true }),
    code: 'PASSPHRASE_WRONG',
    exit: 1,
    hint: / --old-passphrase-file FILE$/,
  },
  'a missing passphrase': {
    error: new KeyError('PASSPHRASE_MISSING', { key: 'k' }),
    code: 'PASSPHRASE_MISSING',
    exit: 2,
    hint: /--passphrase-file/,
  },
  'a broken connection': {
    error: new HttpError('TIMEOUT', { url: 'https://x', milliseconds: 1 }),
    code: 'TIMEOUT',
    exit: 3,
  },
  'a refused update': {
    error: new PublishError('UPDATE_REFUSED', { repository: 'r', reason: 'THRESHOLD', why: 'w' }),
    code: 'UPDATE_REFUSED',
    exit: 1,
  },
  'a wrong command line': {
    error: new CommandError('USAGE', { why: 'w', next: 'tagseal --help' }),
    code: 'USAGE',
    exit: 2,
    hint: /--help/,
  },
  'a full disk': {
    error: Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', syscall: 'write', path: '/x' }),
    code: 'IO',
    exit: 3,
  },
  'a bug': { error: new TypeError('x is not a function'), code: 'INTERNAL', exit: 3, hint: /--verbose/ },
  'an error of Node with a code that only looks like ours': {
    error: Object.assign(new TypeError('bad'), { code: 'ERR_INVALID_ARG_TYPE' }),
    code: 'INTERNAL',
    exit: 3,
  },
  'something that is no error': { error: 'text', code: 'INTERNAL', exit: 3 },
}

await t.test('what the system says of a connection is said in words', async (t) => {
  const messageOf = (reason: string) => new HttpError('NETWORK', { url: 'https://x', reason }).message
  t.match(messageOf('EPROTO'), /speaks no TLS \(EPROTO\)$/)
  t.match(messageOf('ECONNREFUSED'), /nothing listens there \(ECONNREFUSED\)$/)
})

for (const [name, { error, code, exit, hint }] of Object.entries(ERRORS)) {
  await t.test(`tells ${name}`, async (t) => {
    const failure = failureOf(error)
    t.match(failure, { code, exit })
    if (hint !== undefined) t.match(failure.hint, hint)
  })
}
