import { isChanged, roleChangesOf } from '../ceremony/changes.ts'
import { followedBy } from '../ceremony/opened.ts'
import type { Opened } from '../ceremony/opened.ts'
import { pinOf } from '../ceremony/outlook.ts'
import { publishProposal } from '../ceremony/publish.ts'
import { vouchFor } from '../ceremony/vouch.ts'
import type { Context } from '../context.ts'
import { keySetOf, ROOT, TARGETS } from '../../tuf/index.ts'
import { addPin, editPin, loadPins, patternOf, pinFor } from '../trust/pins.ts'
import type { Pin } from '../trust/pins.ts'
import { defineCommand, many } from './declare.ts'
import { shortId } from './key-document.ts'
import { serverToKeep } from './kept-server.ts'
import type { KeptServer } from './kept-server.ts'
import { typedServer } from './pin-command.ts'
import { readProposals } from './root-files.ts'
import { sayUnsigned } from './say-unsigned.ts'

export const rootPublishCommand = defineCommand({
  operands: { FILE: many('the proposal; several copies of it are merged') },
  options: {},
  examples: [
    'tagseal root publish app.root-2.json',
    'tagseal root publish from-alice.json from-bob.json from-carol.json',
  ],
  notes: [
    'Needs a token and no key: nothing is signed here. Everything is checked as consumers will check it.',
    'Run it again where nobody knows whether it got through: what is published already is done.',
    'Prints the pin, which is another one where the root keys or their threshold changed.',
  ].join('\n'),
  async run(context, input) {
    const opened = await readProposals(input.many('FILE'))
    const { repository } = opened.proposal
    const { version } = opened.root.signed.body
    if (followedBy(opened) === undefined) await vouchFor(opened, context)
    const place = await context.serverOf(repository)
    const kept = await serverToKeep(context, place)
    const { published, unsigned } = await publishProposal(context, opened)
    sayUnsigned(context.terminal, repository, unsigned)
    await keepPin(context, opened, kept)
    const { terminal } = context
    terminal.note(`root ${version} of ${repository} ${published ? 'is published' : 'was published already'}`)
    const [root] = roleChangesOf(opened)
    if (root !== undefined && isChanged(root))
      terminal.note('whoever pins root keys by their ids pins them by this line from now on')
    sayHowToLook(context, opened)
    const command = pinOf(opened, typedServer(context.settings, place))
    return {
      lines: [command],
      document: { repository, server: place.server, version, proposal: opened.fingerprint, published, command },
    }
  },
})

/** A thief's tags went along as everything else did. */
function sayHowToLook({ terminal }: Context, opened: Opened): void {
  const targets = roleChangesOf(opened).find(({ role }) => role === TARGETS)
  if (targets === undefined || targets.leaving.length === 0) return
  const keys = [...targets.staying, ...targets.joining].map(({ id }) => `--key ${shortId(id)}`)
  terminal.note(
    `if somebody else had a key that left targets, look at what it signed, where the keys of now are: tagseal rotate ${opened.proposal.repository} targets ${keys.join(' ')} --compromised --since TIME`,
  )
}

/**
 * Whoever published it trusts it as consumers do, refreshed under the pin that they get, before it is called done. A pin
 * of this machine on the keys of this one repository follows them.
 */
async function keepPin(context: Context, opened: Opened, kept: KeptServer): Promise<void> {
  const { repository } = opened.proposal
  const { keys, threshold } = keySetOf(opened.root.signed.body, ROOT)
  const pin: Pin = { kind: 'keys', keyids: keys.map(({ id }) => id), threshold }
  const rules = await loadPins(context.paths.trust)
  if (!rules.some(({ pattern }) => pattern.matches(repository))) {
    await (await context.unpinned(repository, pin)).refresh(context.signal)
    await addPin(context.paths.trust, { pattern: patternOf(repository), pin, ...kept })
    return
  }
  await (await context.repository(repository)).refresh(context.signal)
  const rule = pinFor(rules, repository)
  if (rule.pattern.literal && rule.pin.kind === 'keys')
    await editPin(context.paths.trust, rule.pattern.text, (kept) => ({ ...kept, pin }))
}
