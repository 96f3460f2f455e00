import { choresFor, signChores } from '../ceremony/sign.ts'
import type { Opened } from '../ceremony/opened.ts'
import { callOf, isMet, tallyOf } from '../ceremony/signatures.ts'
import { defineCommand, flag, list, many, text } from './declare.ts'
import { confirm } from './confirm.ts'
import { readProposals, writeProposal } from './root-files.ts'
import { reportOn, signaturesDocument } from './root-report.ts'
import type { Report } from './root-report.ts'

export const rootSignCommand = defineCommand({
  operands: { FILE: many('the proposal; several copies of it are merged into the first') },
  options: {
    key: list('ID', 'sign with this key of this machine, and not with each that fits; may be repeated'),
    out: text('FILE', 'write the signed proposal there, and leave what was given as it is'),
    offline: flag('ask no server'),
    yes: flag('sign without being asked, for machines where nobody is there to answer'),
  },
  examples: [
    'tagseal root sign app.root-2.json',
    'tagseal root sign app.root-2.json --key ssh:alice@example.com',
    'tagseal root sign mine.json from-bob.json --yes',
  ],
  notes: [
    'Shows what "tagseal root review" shows, and asks, before anything is signed. With --yes only warnings are shown again.',
    'Keys in files, ssh-agents, PKCS#11 tokens and signer programs sign alike. The file is replaced whole, or not at all.',
  ].join('\n'),
  async run(context, input) {
    const files = input.many('FILE')
    const opened = await readProposals(files)
    const { repository } = opened.proposal
    const report = await reportOn(context, opened, input.flag('offline'))
    const keystore = await context.keystore()
    const chores = await choresFor(opened, keystore, input.list('key'))
    for (const warning of report.warnings) context.terminal.warn(warning)
    // Nobody takes another signature on a file that is published; who doubts the server's word asks it nothing.
    const open = report.published ? [] : chores.filter(({ done }) => !done)
    const { version } = opened.root.signed.body
    if (input.flag('yes') || open.length === 0) {
      context.terminal.note(
        `root ${version} of ${repository}, proposal ${opened.fingerprint}: "tagseal root review" shows it`,
      )
    } else {
      await confirm({ repository, lines: report.lines, question: `Sign root ${version} of ${repository}?` })
    }
    const signed = await signChores(opened, open, keystore)
    const out = input.text('out') ?? files[0] ?? ''
    await writeProposal(out, signed)
    const by = [...new Set(open.map(({ key }) => callOf(opened, key.id)))]
    context.terminal.note(nextStep(signed, report))
    return {
      lines: [report.published ? `root ${version} of ${repository} is published already` : outcomeText(out, by)],
      document: {
        repository,
        file: out,
        proposal: opened.fingerprint,
        published: report.published,
        signed: open.map(({ role, key }) => ({ role, key: key.id })),
        ...signaturesDocument(signed),
      },
    }
  },
})

function nextStep(signed: Opened, { published }: Report): string {
  if (published) return 'by what the server says nothing is left to sign; --offline signs all the same'
  if (tallyOf(signed).every(isMet)) return 'nobody is missing: tagseal root publish FILE'
  return 'tagseal root status FILE says who is missing'
}

function outcomeText(file: string, by: readonly string[]): string {
  return by.length === 0 ? `every key here had signed ${file} already` : `${file} is signed by ${by.join(', ')}`
}
