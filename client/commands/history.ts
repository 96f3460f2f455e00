import { count, defineCommand, one } from './declare.ts'
import { isUnsaid, parseTagged } from './images.ts'
import { shortId } from './key-document.ts'
import { tableOf } from './table-text.ts'

const ENTRIES = 50

export const historyCommand = defineCommand({
  operands: { IMAGE: one('REPO:TAG') },
  options: { limit: count('N', `the newest N entries; ${ENTRIES} where nothing is said`) },
  examples: ['tagseal history registry.example.com/team/app:1.4'],
  notes: [
    'From left to right: when, the digest or "revoked", the role and its version, its key, the token it came with.',
    'This is the record of the server. What a tag means now is verified by "tagseal verify".',
  ].join('\n'),
  async run(context, input) {
    const image = parseTagged(input.one('IMAGE'))
    const { name, tag } = image
    if (isUnsaid(image)) context.terminal.note(`${image.text} names no tag: ${name}:latest is shown`)
    const entries = await (await context.api(name)).history(tag, input.count('limit') ?? ENTRIES)
    if (entries.length === 0) context.terminal.note(`${name}:${tag} was never signed`)
    const lines = tableOf(
      entries.map(({ at, digest, role, version, keyids, by }) => [
        new Date(at).toISOString(),
        digest ?? 'revoked',
        `${role} ${version}`,
        keyids.map(shortId).join(', '),
        by ?? '',
      ]),
    )
    const documents = entries.map((entry) => ({
      ...entry,
      at: new Date(entry.at).toISOString(),
      digest: entry.digest ?? null,
    }))
    return { lines, document: { repository: name, tag, entries: documents } }
  },
})
