import { isDeepStrictEqual } from 'node:util'
import { nativeSuite } from '../../keys/native/suite.ts'
import { DEFAULT_LIMITS, instant, isTrustError, keyId } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { readUserFile } from '../files.ts'
import { nearest } from '../nearest.ts'
import { parseRepo } from '../registry/reference.ts'
import { openAnyRoot } from '../trust/anchor.ts'
import { ClientError } from '../trust/errors.ts'
import type { Pattern } from '../trust/pattern.ts'
import { addPin, authorityPin, editPin, loadPins, patternOf } from '../trust/pins.ts'
import type { Pin, PinRule } from '../trust/pins.ts'
import { isHttps, isSameServer } from '../trust/server-ca.ts'
import { count, defineCommand, flag, list, one, text } from './declare.ts'
import { usage } from './errors.ts'
import type { CommandError } from './errors.ts'
import { serverToKeep } from './kept-server.ts'
import { pinDocument, pinText } from './pin-text.ts'

export const trustAddCommand = defineCommand({
  operands: { PATTERN: one('a repository, or several: registry.example.com/team/*, registry.example.com/**') },
  options: {
    root: text('FILE', 'a root.json that the owner gave you: where the chain begins'),
    key: list('ID', 'the id of a root key that the owner gave you; may be repeated'),
    threshold: count('N', 'how many of the keys must have signed the root; 1 where nothing is said'),
    'root-ca': text('FILE', 'certificates, in PEM, of the authority that issues those of Notary roots'),
    tofu: flag('trust on first use: whatever root comes first, without knowing whose it is'),
  },
  examples: [
    'tagseal trust add registry.example.com/team/app --root root.json --server https://trust.example.com',
    'tagseal trust add "registry.example.com/team/*" --key 9d2c... --server https://trust.example.com',
    'tagseal trust add "registry.example.com/**" --key 9d2c... --server https://trust.example.com --ca trust-ca.pem',
    'tagseal trust add "registry.example.com/**" --ca both-authorities.pem',
  ],
  notes: [
    'With --server, the server is kept with the pin, and with --ca the certificates of its authority, for it alone: no other command needs either.',
    'A pin of the same pattern is replaced; the most specific wins. With --server or --ca alone, whom it trusts stays, and so does the authority of the same server.',
  ].join('\n'),
  async run(context, input) {
    const pattern = normalPattern(input.one('PATTERN'))
    const wish = {
      root: input.text('root'),
      keys: input.list('key'),
      threshold: input.count('threshold'),
      authority: input.text('root-ca'),
      tofu: input.flag('tofu'),
    }
    const known = await loadPins(context.paths.trust)
    const before = known.find(({ pattern: { text } }) => text === pattern.text)
    const isWhere = isEmpty(wish) && (context.settings.server ?? context.settings.ca) !== undefined
    if (isWhere && before === undefined) throw noSuchPin(pattern, known)
    const rule = isWhere && before !== undefined ? await moved(context, before) : await added(context, wish, pattern)
    const { pin } = rule
    const replaced = before !== undefined && !isSamePin(before, rule)
    if (replaced) context.terminal.note(`replaced the pin that ${pattern.text} had before`)
    const why = before === undefined ? undefined : whyUncovered(before, rule)
    if (why !== undefined) {
      context.terminal.warn(`the authority that was kept for ${before?.server} is not kept any more: ${why}`)
    }
    if (pin.kind === 'tofu') {
      context.terminal.warn(`whoever answers first for ${pattern.text} will be trusted from then on`)
    }
    return { lines: [pinText(rule)], document: { pin: pinDocument(rule), replaced } }
  },
})

/** What it kept of an authority may be damaged, and this be how that is mended: it is not looked into. */
function isSamePin({ serverCa: caBefore, ...before }: PinRule, { serverCa: ca, ...rule }: PinRule): boolean {
  return caBefore === ca && isDeepStrictEqual(pinDocument(before), pinDocument(rule))
}

/** Whoever has that address, from now on, may show itself by whatever this machine trusts, or by nothing. */
function whyUncovered(before: PinRule, { server, serverCa }: PinRule): string | undefined {
  if (before.serverCa === undefined || server === undefined || serverCa !== undefined) return undefined
  if (!isHttps(server)) return `${server} shows no certificate`
  return isSameServer(before.server, server) ? '--ca FILE keeps one' : undefined
}

function noSuchPin({ text }: Pattern, known: readonly PinRule[]): CommandError {
  const meant = nearest(
    text,
    known.map(({ pattern }) => pattern.text),
  )
  return usage(
    `there is no pin for ${text} of which the server could be changed`,
    `${meant === undefined ? '' : `was ${meant} meant? `}a new pin says whom to trust as well: --root, --key, --root-ca or --tofu`,
  )
}

/** Of a pin that is there: it is reached elsewhere, or by another authority, and trusts whom it trusted. An authority stays with its server. */
async function moved(context: Context, { pattern, server: kept }: PinRule): Promise<PinRule> {
  const server = context.settings.server ?? kept
  if (server === undefined) throw usage(`the pin of ${pattern.text} keeps no server`, 'name it with --server URL')
  const where = await serverToKeep(context, { server })
  const rule = await editPin(context.paths.trust, pattern.text, (now) => ({
    pattern,
    pin: now.pin,
    ...(isSameServer(now.server, where.server) && now.serverCa !== undefined && { serverCa: now.serverCa }),
    ...where,
  }))
  if (rule === undefined) throw new ClientError('NOT_PINNED', { repository: pattern.text })
  return rule
}

async function added(context: Context, wish: Wish, pattern: Pattern): Promise<PinRule> {
  const rule = await made(context, wish, pattern)
  await addPin(context.paths.trust, rule)
  return rule
}

async function made(context: Context, wish: Wish, pattern: Pattern): Promise<PinRule> {
  const pin = await pinFrom(wish, context, pattern)
  const { server, ca } = context.settings
  if (server !== undefined) return { pattern, pin, ...(await serverToKeep(context, { server })) }
  if (ca !== undefined) context.terminal.warn(`${ca} is not kept: it goes with the server that --server names`)
  return { pattern, pin }
}

/** One repository is written as docker writes it; a pattern names its registry. */
function normalPattern(text: string): Pattern {
  if (!text.includes('*')) return patternOf(parseRepo(text).name, 'PATTERN')
  const [host = ''] = text.split('/')
  if (!/[.:*]|^localhost$/.test(host)) {
    throw usage(`${text} does not begin with a registry`, `for Docker Hub write docker.io/${text}`)
  }
  return patternOf(text, 'PATTERN')
}

type Wish = {
  readonly root: string | undefined
  readonly keys: readonly string[]
  readonly threshold: number | undefined
  readonly authority: string | undefined
  readonly tofu: boolean
}

function isEmpty({ root, keys, threshold, authority, tofu }: Wish): boolean {
  return root === undefined && keys.length === 0 && threshold === undefined && authority === undefined && !tofu
}

async function pinFrom(wish: Wish, context: Context, pattern: Pattern): Promise<Pin> {
  const { root, keys, threshold, authority, tofu } = wish
  const given = [root !== undefined, keys.length > 0, authority !== undefined, tofu].filter(Boolean).length
  if (given !== 1) {
    throw usage('exactly one of --root, --key, --root-ca and --tofu says whom to trust', 'tagseal trust add --help')
  }
  if (threshold !== undefined && keys.length === 0) throw usage('--threshold goes with --key')
  if (root !== undefined)
    return { kind: 'root', bytes: checkedRoot(await readUserFile(root, DEFAULT_LIMITS.root), root, context, pattern) }
  if (authority !== undefined) {
    const bytes = await readUserFile(authority, DEFAULT_LIMITS.root)
    return authorityPin(new TextDecoder().decode(bytes), authority)
  }
  if (keys.length === 0) return { kind: 'tofu' }
  for (const key of keys) {
    if (!/^[0-9a-f]{64}$/.test(key)) {
      throw usage(`"${key}" is no key id: 64 digits, 0 to 9 and a to f`, 'copy it from what "tagseal init" printed')
    }
  }
  const need = threshold ?? 1
  if (need > new Set(keys).size) throw usage(`${need} keys cannot sign where ${new Set(keys).size} are named`)
  return { kind: 'keys', keyids: [...new Set(keys)].map(keyId), threshold: need }
}

/** Signed by itself, and not the root of another repository: better said now than at the first pull. */
function checkedRoot(bytes: Uint8Array, path: string, { clock }: Context, pattern: Pattern): Uint8Array {
  const repository = pattern.literal ? pattern.text : undefined
  const seat = { suite: nativeSuite, limits: DEFAULT_LIMITS, now: instant(clock()), repository }
  const trust = readRoot(path, () => openAnyRoot(seat, bytes))
  const named = trust.codec.repositoryOf(trust.root, trust)
  if (named !== undefined && !pattern.matches(named)) {
    throw new ClientError('REPOSITORY_MISMATCH', { repository: pattern.text, named })
  }
  return bytes
}

/** It came from a file and not from a server. Throws USAGE for what is no root at all. */
function readRoot<T>(path: string, open: () => T): T {
  try {
    return open()
  } catch (cause) {
    if (!isTrustError(cause) || cause.code !== 'MALFORMED') throw cause
    throw usage(
      `${path} is no root: ${cause.message}`,
      'name the root.json that the owner gave you; a line that "tagseal init" printed is run as it is: sh FILE',
    )
  }
}
