import { readPemBlocks, writePem } from '../../keys/pem.ts'
import { publicMaterial } from '../../keys/schemes/table.ts'
import type { Context } from '../context.ts'
import type { Diagnosis } from '../doctor/doctor.ts'
import { readUserFile } from '../files.ts'
import { parseImage } from '../registry/reference.ts'
import { defineCommand, flag, list, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { POLICY_OPTION } from './policy-option.ts'

const MAX_PEM = 32 * 1024
const GATEWAY = 'http://127.0.0.1:5080'
/** There for everybody, small, and signed by nobody under anybody's pins. */
const CANARY = 'docker.io/library/hello-world:latest'

export const doctorCommand = defineCommand({
  operands: {},
  options: {
    gateway: text('URL', `the gateway that engines are to pull through; ${GATEWAY} where nothing is said`),
    root: text('DIR', 'look at the machine whose files are below this folder'),
    canary: text('IMAGE', `an image that is there and must be refused; ${CANARY} where nothing is said`),
    try: list(
      'ENGINE',
      'have docker, podman or containerd pull the canary; all of them where nothing is said, and none with --root',
    ),
    'config-only': flag('read configurations only; ask no gateway and run no engine'),
    write: text('ENGINE', 'write the configuration of docker, containerd, podman, or the verifier of containerd 2'),
    registry: list(
      'HOST',
      'with --write podman: what may be pulled; the registries of the policy where nothing is said',
    ),
    'bridge-key': text(
      'FILE',
      'with --write podman: the public key that "tagseal gateway --print-bridge-key" printed, to check signatures by',
    ),
    agent: text('SOCKET', 'with --write verifier: the agent to ask'),
    policy: POLICY_OPTION,
    yes: flag('with --write: write it, after showing what changes'),
  },
  examples: [
    'tagseal doctor --gateway https://gateway.example.com',
    'tagseal doctor --write containerd --gateway https://gateway.example.com --yes',
  ],
  notes:
    'Exits with 0 where every engine found here enforces, 1 where an unsigned or moved image could get in, 3 where that could not be found out.',
  async run(context, input) {
    const doctor = await import('../doctor/main.ts')
    const gateway = doctor.gatewayAt(input.text('gateway') ?? GATEWAY)
    const root = input.text('root') ?? '/'
    const write = input.text('write')
    if (write !== undefined) {
      if (!doctor.isPlanable(write)) throw usage(`${write} is none of docker, containerd, podman, verifier`)
      const asked = {
        policy: input.text('policy'),
        named: input.list('registry'),
        agent: input.text('agent'),
        bridge: input.text('bridge-key'),
      }
      const plan = { what: write, root, gateway, ...(await wishOf(context, write, asked)), yes: input.flag('yes') }
      return await doctor.writeConfiguration(context, plan)
    }
    const named = input.list('try')
    const engines =
      named.length === 0 && root === '/' ? doctor.TRIED_ENGINES : named.map(engineOf(doctor.isTriedEngine))
    const canary = parseImage(input.text('canary') ?? CANARY)
    const configOnly = input.flag('config-only')
    const diagnosis = await doctor.diagnose(context, { root, gateway, canary, engines, configOnly })
    return answerOf(diagnosis, doctor.exitOf(diagnosis))
  },
})

function engineOf<T extends string>(isEngine: (text: string) => text is T): (text: string) => T {
  return (engine) => {
    if (isEngine(engine)) return engine
    throw usage(`${engine} is none of docker, podman, containerd`)
  }
}

type Asked = {
  readonly policy: string | undefined
  readonly named: readonly string[]
  readonly agent: string | undefined
  readonly bridge: string | undefined
}

async function wishOf(context: Context, write: string, { policy, named, agent, bridge }: Asked) {
  const registries =
    named.length > 0 || write !== 'podman' ? named : [...((await context.policy(policy))?.registries ?? [])]
  if (write === 'podman' && registries.length === 0)
    throw usage('which registries may be pulled from?', '--registry docker.io')
  const home = context.settings.home
  const verifier = [
    process.execPath,
    process.argv[1] ?? 'tagseal',
    ...(home === undefined ? [] : ['--home', home]),
    'verifier',
    ...(policy === undefined ? [] : ['--policy', policy]),
    ...(agent === undefined ? [] : ['--agent', agent]),
  ]
  if (bridge !== undefined && write !== 'podman') throw usage('--bridge-key is for podman', '--write podman')
  return { registries, verifier, bridge: bridge === undefined ? undefined : await bridgeKeyIn(bridge) }
}

/** Of a private key nothing is written anywhere. */
async function bridgeKeyIn(file: string): Promise<string> {
  const [block, ...more] = readPemBlocks(Buffer.from(await readUserFile(file, MAX_PEM)).toString('latin1'), file)
  const key = block?.label === 'PUBLIC KEY' && more.length === 0 ? publicMaterial(block.der) : undefined
  if (key?.algorithm === 'ecdsa-p256') return writePem('PUBLIC KEY', key.spki)
  throw usage(`${file} holds no public ECDSA P-256 key`, 'tagseal gateway --bridge-key FILE --print-bridge-key')
}

function answerOf({ engines, trials }: Diagnosis, exit: 0 | 1 | 3): Answer {
  const lines = [
    ...engines.flatMap(({ engine, findings }) =>
      findings === undefined
        ? [`${engine}: not found`]
        : [
            `${engine}: ${summary(findings.map(({ level }) => level))}`,
            ...findings.flatMap(({ level, code, where, message, mend }) => [
              `  ${where}: ${level}: ${message} (${code})`,
              `    instead: ${mend}`,
            ]),
          ],
    ),
    ...trials.map(({ by, outcome, words }) => `canary: ${by}: ${outcome}: ${words}`),
  ]
  const enforced = exit === 0 ? true : exit === 1 ? false : null
  return { lines, document: { enforced, engines, trials }, exit }
}

function summary(levels: readonly string[]): string {
  if (levels.includes('hole')) return 'an unsigned or moved image can get in'
  return levels.includes('unknown') ? 'it could not be found out' : 'nothing gets past the gateway by its configuration'
}
