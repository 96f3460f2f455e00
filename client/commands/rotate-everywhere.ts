/** One key leaves every repository that lists it. */
import { readPublicKey } from '../../keys/public-key.ts'
import type { Algorithm, Signer } from '../../keys/signer.ts'
import type { SigningKeystore } from '../../keys/signers/keystore.ts'
import type { PublicKey } from '../../tuf/index.ts'
import type { Context } from '../context.ts'
import { failureOf } from '../exit.ts'
import { campaignId, readCampaign, writeCampaign } from '../publish/campaign.ts'
import type { Campaign } from '../publish/campaign.ts'
import { untilAborted } from '../until-aborted.ts'
import { refuseOtherClocks } from './clocks.ts'
import type { Answer } from './declare.ts'
import { CommandError, usage } from './errors.ts'
import { againFrom, eachOf, idsNamed, nameOf } from './everywhere.ts'
import type { Done, Everywhere, Running, Undone } from './everywhere.ts'
import { leave, sayUnknown, whatWaits } from './rotate-everywhere-leave.ts'
import { repositoriesMeant } from './rotate-everywhere-names.ts'
import { sayOutside, told } from './rotate-everywhere-told.ts'
import { inTurn } from './rotation-turn.ts'

/** What is done is written down this often, in milliseconds: losing a little of it costs a second look. */
const NOTED_MS = 1000

/** Interrupted at any point and run again, it ends the same. */
export async function rotateEverywhere(context: Context, wish: Everywhere): Promise<Answer> {
  const shared = withOpenKeys(context)
  try {
    await refuseUnknown(shared.context, wish.gone)
    const meant = await untilAborted(repositoriesMeant(context, wish.pattern, wish.names), context.signal)
    const { names } = meant
    sayOutside(context, wish, meant.outside)
    if (names.length === 0) throw usage(`no repository matches ${wish.pattern.text}`)
    const { ago } = wish.rotation
    if (ago !== undefined) await refuseOtherClocks(context, names, ago)
    const waiting = await whatWaits(shared.context, wish, names)
    return await inTurn(context, `key ${wish.gone}`, async () => {
      const campaign = await begin(shared.context, wish)
      const { done, undone } = await work(shared.context, wish, campaign, names)
      sayUnknown(context, wish, waiting, done)
      return await told(context, wish, { campaign: campaign(), meant, done, undone })
    })
  } finally {
    shared.close()
  }
}

/** "Listed nowhere" is what everybody hopes to read, so a name that could be in no list must not lead to it. */
async function refuseUnknown(context: Context, gone: string): Promise<void> {
  if (/^[0-9a-f]{8,128}$/.test(gone) || (await idsNamed(context, gone)).size > 0) return
  throw usage(
    `${JSON.stringify(gone)} is no key of this machine, and not the first 8 digits of an id or more`,
    'tagseal status REPO shows the keys of every role; tagseal key list those that are here',
  )
}

async function begin(context: Context, wish: Everywhere): Promise<Running> {
  const { state } = context.paths
  const id = campaignId(wish.gone, wish.role ?? '')
  let campaign = readCampaign(state, id)
  let making: Promise<string> | undefined
  let saved = context.monotonic()
  goOnAsItBegan(context, wish, campaign)
  const save = async () => {
    if (campaign !== undefined) await writeCampaign(state, campaign)
  }
  const make = async (listed: PublicKey) => {
    const key = campaign?.key ?? (await replacement(context, wish, readPublicKey(listed).algorithm))
    campaign ??= { id, gone: wish.gone, key, since: wish.rotation.since, done: new Set() }
    await save()
    return key
  }
  return Object.assign(() => campaign, {
    keyFor: async (listed: PublicKey) => await (making ??= make(listed)),
    async finished(repository: string) {
      if (campaign === undefined) return
      campaign = { ...campaign, done: new Set(campaign.done).add(repository) }
      if (context.monotonic() - saved < NOTED_MS) return
      saved = context.monotonic()
      await save()
    },
    save,
  })
}

/**
 * All repositories are judged alike, so what was said first counts until all are done. "6h" is later with every run, which
 * does no harm; an earlier time means that what is done was not looked at from there. Throws USAGE.
 */
function goOnAsItBegan(
  { terminal }: Context,
  { pattern, rotation: { since } }: Everywhere,
  campaign: Campaign | undefined,
): void {
  if (campaign === undefined || since === undefined || since === campaign.since) return
  const began =
    campaign.since === undefined ? 'without --since' : `with --since ${new Date(campaign.since).toISOString()}`
  if (campaign.since !== undefined && since > campaign.since) {
    terminal.warn(`this goes on as it began: ${began}`)
    return
  }
  throw usage(
    `this began ${began}, and some repositories are done`,
    `leave --since out to go on; then look at all of them from ${new Date(since).toISOString()} on: ${againFrom(pattern.text, campaign.key, since)}`,
  )
}

/** One for all of them; found again by its name where this was interrupted before it was written down. */
async function replacement(context: Context, { gone, rotation }: Everywhere, algorithm: Algorithm): Promise<string> {
  const keystore = await context.keystore()
  const [named, ...more] = rotation.keys
  if (more.length > 0) throw usage('--all-with-key puts one key in the place of the other', 'name one with --key')
  if (named !== undefined) return (await keystore.find(named)).id
  const name = nameOf(gone)
  const made = (await keystore.list()).find((key) => key.name === name)
  return (made ?? (await keystore.generate({ algorithm, name, encrypted: rotation.encrypted }))).id
}

async function work(context: Context, wish: Everywhere, running: Running, names: readonly string[]) {
  const { signal, terminal } = context
  const before = (wish.decisions.given ? undefined : running()?.done) ?? new Set<string>() // those may wait for a decision
  const done: Done[] = names
    .filter((name) => before.has(name))
    .map((repository) => ({ repository, roles: [], before: true, settling: new Map(), impacts: [] }))
  const undone: Undone[] = []
  const waiting = names.filter((name) => !before.has(name))
  await eachOf(context, waiting, async (repository) => {
    try {
      done.push(await leave(context, wish, running, repository))
      await running.finished(repository)
    } catch (error) {
      undone.push({ repository, failure: failureOf(signal.aborted ? new CommandError('INTERRUPTED', {}) : error) })
    }
    terminal.progress(`${done.length} of ${names.length} repositories done, ${undone.length} not`)
  })
  await running.save()
  const seen = new Set([...done, ...undone].map(({ repository }) => repository))
  const interrupted = failureOf(new CommandError('INTERRUPTED', {}))
  for (const repository of names.filter((name) => !seen.has(name))) undone.push({ repository, failure: interrupted })
  const byName = (a: Done | Undone, b: Done | Undone) => (a.repository < b.repository ? -1 : 1)
  return { done: done.toSorted(byName), undone: undone.toSorted(byName) }
}

/** The same, with each private key opened once for all repositories: a passphrase takes its time. */
function withOpenKeys(context: Context): { readonly context: Context; readonly close: () => void } {
  const signers = new Map<string, Promise<Signer>>()
  let keystore: Promise<SigningKeystore> | undefined
  const open = async (): Promise<SigningKeystore> => {
    const own = await context.keystore()
    return {
      ...own,
      async open(wanted) {
        const opened = signers.get(wanted) ?? own.open(wanted)
        signers.set(wanted, opened)
        const signer = await opened
        return { public: signer.public, sign: signer.sign.bind(signer), close: () => undefined }
      },
    }
  }
  return {
    context: { ...context, keystore: async () => await (keystore ??= open()) },
    close() {
      for (const signer of signers.values()) signer.then((opened) => opened.close()).catch(() => undefined) // it failed where it was used
    },
  }
}
