import { writePem } from '../../keys/pem.ts'
import type { Signer } from '../../keys/signer.ts'
import { isLoopback } from '../http.ts'
import type { Context } from '../context.ts'
import { plainHostsOf } from '../plain-hosts.ts'
import { defineCommand, flag, list, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { demandGivenFiles, demandRegistryCa } from './given-files.ts'
import { readAddress } from './listen-address.ts'
import { demandPolicy, POLICY_OPTION } from './policy-option.ts'
import { readSize } from './size.ts'

export const gatewayCommand = defineCommand({
  operands: {},
  options: {
    policy: POLICY_OPTION,
    listen: text('HOST:PORT', 'where to serve; 127.0.0.1:5080 where nothing is said'),
    'tls-cert': text('FILE', 'PEM of the certificate to serve with'),
    'tls-key': text('FILE', 'PEM of its key'),
    'client-ca': text('FILE', 'PEM of the authorities whose clients alone are served'),
    users: text('FILE', 'lines of name:password; others are not served'),
    'agent-socket': text('SOCKET', 'answer the image verifiers of this machine there as well'),
    'bridge-key': list(
      'KEY',
      'an ECDSA P-256 key to sign with for podman, CRI-O and skopeo: a file, a key id or name, or a reference',
    ),
    'print-bridge-key': flag('print the public half of that key, for their policy.json, and end'),
    cache: text('DIR', 'where content is kept; below the state folder where nothing is said'),
    'cache-size': text('SIZE', 'how much of it, as 500M or 20G; 10G where nothing is said'),
  },
  examples: [
    'tagseal gateway --policy policy.yaml',
    'tagseal gateway --listen 0.0.0.0:443 --tls-cert gw.crt --tls-key gw.key --cache /var/cache/tagseal --cache-size 50G',
    'tagseal gateway --bridge-key bridge.pem --print-bridge-key > tagseal-bridge.pub',
  ],
  notes:
    'Plain http beyond this machine is refused unless it is named: --plain-http=0.0.0.0:5080. SIGTERM lets what is under way end.',
  drains: true,
  async run(context, input) {
    if (input.flag('print-bridge-key')) return await bridgeKeyAnswer(context, input.list('bridge-key'))
    const file = input.text('policy')
    const { host, port } = readAddress(input.text('listen') ?? '127.0.0.1:5080')
    const tls = readTls(input.text('tls-cert'), input.text('tls-key'), input.text('client-ca'))
    if (tls === undefined) refusePlain(context, host, port)
    await demandGivenFiles(context)
    await demandRegistryCa(context)
    const load = async () => await demandPolicy(context, file)
    const { serveGateway } = await import('../gateway/serve.ts')
    await withBridgeKeys(context, input.list('bridge-key'), async (bridge) => {
      await serveGateway(context, {
        host,
        port,
        policy: await load(),
        reload: load,
        cache: input.text('cache'),
        cacheBytes: readCacheSize(input.text('cache-size') ?? '10G'),
        tls,
        users: input.text('users'),
        agentSocket: input.text('agent-socket'),
        bridge,
      })
    })
    return { lines: [], document: {} }
  },
})

async function withBridgeKeys<T>(
  context: Context,
  given: readonly string[],
  use: (bridge: readonly Signer[]) => Promise<T>,
): Promise<T> {
  const { openBridgeKeys } = await import('../gateway/bridge-keys.ts')
  const bridge = await openBridgeKeys(context, given)
  try {
    return await use(bridge)
  } finally {
    for (const signer of bridge) signer.close()
  }
}

/** Carried to the engines by hand: what came over the wire that it is to guard would guard nothing. */
async function bridgeKeyAnswer(context: Context, given: readonly string[]): Promise<Answer> {
  if (given.length === 0) throw usage('which key is to be printed?', 'name it: --bridge-key FILE')
  const pems = await withBridgeKeys(context, given, async (bridge) =>
    bridge.map(({ public: { spki } }) => writePem('PUBLIC KEY', spki)),
  )
  return { lines: pems.flatMap((pem) => pem.trimEnd().split('\n')), document: { keys: pems } }
}

function readTls(cert: string | undefined, key: string | undefined, clientCa: string | undefined) {
  if (cert !== undefined && key !== undefined) return { cert, key, clientCa }
  if (cert !== undefined) throw usage('a certificate is of no use without its key', 'give --tls-key FILE as well')
  if (key !== undefined) throw usage('a key is of no use without its certificate', 'give --tls-cert FILE as well')
  if (clientCa !== undefined)
    throw usage('--client-ca goes with --tls-cert and --tls-key', 'give --tls-cert FILE and --tls-key FILE as well')
  return undefined
}

/** Who listens on the wire could change what engines are told. */
function refusePlain({ settings: { plainHttp } }: Context, host: string, port: number): void {
  const shown = host.includes(':') ? `[${host}]` : host
  if (isLoopback(shown) || (typeof plainHttp !== 'boolean' && plainHostsOf(plainHttp).has(`${shown}:${port}`))) return
  throw usage(
    `${shown}:${port} is not this machine alone, and plain http would let anyone in between answer`,
    `give --tls-cert and --tls-key, or name it: --plain-http=${shown}:${port}`,
  )
}

/** A number without its unit is a mistake more often than a wish. */
const LEAST_CACHE = 1024 ** 2

function readCacheSize(size: string): number {
  const bytes = readSize(size, '--cache-size 20G')
  if (bytes > 0 && bytes < LEAST_CACHE)
    throw usage(`${size} is less than any image: that many bytes`, '--cache-size 20G, or 0 to keep nothing')
  return bytes
}
