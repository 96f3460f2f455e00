/** Something else than an agent listens where verifiers ask: whatever it says that is not exactly a yes is a no. */
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { openAgent } from '../../client/verifier/agent.ts'
import { askAgent } from '../../client/verifier/ask.ts'
import { refusal } from '../../client/verifier/decide.ts'
import { LONGEST_LINE, parseDecision, printQuestion } from '../../client/verifier/protocol.ts'
import { readQuestion } from '../../client/verifier/question.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const descriptor = Buffer.from(JSON.stringify({ mediaType: 'x', digest: DIGEST, size: 5 }))
const QUESTION = readQuestion({
  name: 'registry.example.com/team/app:1',
  digest: DIGEST,
  mediaType: 'application/vnd.oci.descriptor.v1+json',
  descriptor,
})
const folder = await mkdtemp(join(tmpdir(), 'tagseal-lying-'))
t.teardown(() => rm(folder, { recursive: true, force: true }))
const path = join(folder, 'agent.sock')
const yes = { version: 1, exit: 0, code: 'ADMITTED', reason: 'r' }

async function answering(t: Test, answer: (socket: Socket) => unknown): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  })
  server.listen(path)
  await once(server, 'listening')
  t.teardown(() => new Promise<void>((resolve) => server.close(() => resolve())))
}

const ANSWERS: Record<string, string> = {
  nothing: '',
  'half an answer': JSON.stringify(yes).slice(0, 20),
  'a yes without its end': JSON.stringify(yes),
  'no JSON': 'yes\n',
  'a yes of another version': `${JSON.stringify({ ...yes, version: 2 })}\n`,
  'a yes with the code of a refusal': `${JSON.stringify({ ...yes, code: 'TAG_NOT_SIGNED' })}\n`,
  'a refusal with the code of a yes': `${JSON.stringify({ ...yes, exit: 1 })}\n`,
  'a number that is no exit code': `${JSON.stringify({ ...yes, exit: 256 })}\n`,
  'a text for an exit code': `${JSON.stringify({ ...yes, exit: '0' })}\n`,
  'two exit codes': `${JSON.stringify(yes).replace('{', '{"exit":1,')}\n`,
  'a yes without words': `${JSON.stringify({ ...yes, reason: undefined })}\n`,
  'a list': '[0]\n',
  'more than any answer is': `${JSON.stringify({ ...yes, reason: 'x'.repeat(LONGEST_LINE) })}\n`,
}
for (const [name, text] of Object.entries(ANSWERS)) {
  await t.test(`refuses ${name}`, async (t) => {
    await answering(t, (socket) => socket.end(text))
    await t.rejects(askAgent(path, QUESTION), { name: 'VerifierError', code: 'AGENT_UNUSABLE' })
  })
}

await t.test('a proper answer is taken as it is', async (t) => {
  await answering(t, (socket) => socket.end(`${JSON.stringify(yes)}\n`))
  t.same(await askAgent(path, QUESTION), { exit: 0, code: 'ADMITTED', reason: 'r' })
})

await t.test('a file in the place of the socket is refused, and nothing in its place is no agent', async (t) => {
  t.equal(await askAgent(path, QUESTION), undefined)
  t.equal(await askAgent(join(folder, 'none', 'agent.sock'), QUESTION), undefined)
  await writeFile(join(folder, 'file'), '')
  await t.rejects(askAgent(join(folder, 'file'), QUESTION), { code: 'AGENT_UNUSABLE' })
})

await t.test('a folder that others may write to is refused, before anything is asked', async (t) => {
  await answering(t, () => t.fail('it was asked'))
  await chmod(folder, 0o1777)
  await t.rejects(askAgent(path, QUESTION), { code: 'AGENT_UNUSABLE' })
  await chmod(folder, 0o700)
})

const QUESTIONS: Record<string, string> = {
  'no JSON': 'x\n',
  'another version': printQuestion(QUESTION).replace('"version":1', '"version":9'),
  'a digest in another spelling': printQuestion(QUESTION).replaceAll('aaaa', 'AAAA'),
  'a digest that the name contradicts': printQuestion(QUESTION).replace('app:1', `app:1@sha256:${'b'.repeat(64)}`),
  'a name that is none': printQuestion(QUESTION).replace('team/app', 'team//app'),
  'a size below nothing': printQuestion(QUESTION).replace('"size":5', '"size":-5'),
  'more than any question is': `${'x'.repeat(LONGEST_LINE * 2)}\n`,
}
await t.test('no agent starts where verifiers would not ask it, or where there is no folder', async (t) => {
  const open = async (name: string) =>
    await openAgent({
      path: join(folder, name, 'agent.sock'),
      decide: async () => await Promise.resolve(refusal(new Error('never asked'))),
      monotonic: () => performance.now(),
      log: () => undefined,
    })
  await t.rejects(open('none'), { code: 'IO', message: /there is no such folder/ })
  for (const mode of [0o777, 0o1777, 0o775]) {
    const name = mode.toString(8)
    await mkdir(join(folder, name))
    await chmod(join(folder, name), mode)
    await t.rejects(open(name), { code: 'IO', message: /others may write to it/, hint: /folder of its own/ })
    t.same(await readdir(join(folder, name)), [], 'and nothing is there then')
  }
})

await t.test('an agent says no to what is no question, and goes on', async (t) => {
  const decide = async () => ({ exit: 0, code: 'ADMITTED', reason: 'r' }) as const
  const agent = await openAgent({ path, decide, monotonic: () => performance.now(), log: () => undefined })
  t.teardown(agent.close)
  for (const [name, text] of Object.entries(QUESTIONS)) {
    const socket = connect(path)
    socket.on('error', () => undefined)
    socket.write(text)
    const parts: Buffer[] = []
    for await (const part of socket) parts.push(part as Buffer)
    const decision = parseDecision(Buffer.concat(parts).subarray(0, -1))
    t.not(decision.exit, 0, name)
  }
  const idle = connect(path)
  await once(idle, 'connect')
  t.match(await askAgent(path, QUESTION), { exit: 0 }, 'also while somebody is connected and says nothing')
  idle.destroy()
})
