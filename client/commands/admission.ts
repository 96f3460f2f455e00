import { basename } from 'node:path'
import type { Context } from '../context.ts'
import { readAuthorities } from '../files.ts'
import { isLoopback } from '../http.ts'
import type { FilePolicy } from '../policy/policy.ts'
import { parseImage } from '../registry/reference.ts'
import { count, defineCommand, flag, list, text } from './declare.ts'
import type { Answer } from './declare.ts'
import { usage } from './errors.ts'
import { demandGivenFiles } from './given-files.ts'
import { readAddress } from './listen-address.ts'
import { demandPolicy, POLICY_OPTION } from './policy-option.ts'
import { readSize } from './size.ts'

/** The webhooks that are printed have the API server wait for ten; the answer has to be out before. */
const SECONDS = 8
/** Counted as they are once they are read, about; the container that is printed has 512 MiB. */
const MEMORY = '64M'
const NAMESPACE = 'tagseal'

export const admissionCommand = defineCommand({
  operands: {},
  options: {
    policy: POLICY_OPTION,
    listen: text('HOST:PORT', 'where to serve; 0.0.0.0:8443 where nothing is said'),
    'tls-cert': text('FILE', 'PEM of the certificate to serve with'),
    'tls-key': text('FILE', 'PEM of its key'),
    'client-ca': text('FILE', 'PEM of the authorities whose clients alone are served'),
    timeout: count('SECONDS', `when the answer is no; ${SECONDS} where nothing is said`),
    'review-memory': text('SIZE', `what reviews under way may take together; ${MEMORY} where nothing is said`),
    manifests: flag('print what installs it in a cluster, and serve nothing'),
    image: text('IMAGE', 'for --manifests: this program as an image, with its digest'),
    'ca-bundle': text('FILE', 'for --manifests: PEM of the authority that signed the certificate'),
    namespace: text('NAME', `for --manifests: where it runs; ${NAMESPACE} where nothing is said`),
    exempt: list('NAME', 'for --manifests: a namespace that is not asked about; can be given again'),
  },
  examples: [
    'tagseal admission --policy policy.yaml --tls-cert tls.crt --tls-key tls.key',
    'tagseal admission --manifests --policy policy.yaml --image registry.example.com/tagseal@sha256:... --ca-bundle ca.crt | kubectl apply -f -',
  ],
  notes:
    'A mutating webhook at /mutate and a validating one at /validate. Certificate and policy are read again when they change; SIGTERM lets what is under way end.',
  drains: true,
  async run(context, input) {
    const file = input.text('policy')
    if (input.flag('manifests')) {
      return await printManifests(context, file, {
        image: input.text('image'),
        bundle: input.text('ca-bundle'),
        namespace: input.text('namespace') ?? NAMESPACE,
        exempt: input.list('exempt'),
      })
    }
    for (const name of ['image', 'ca-bundle', 'namespace'] as const)
      if (input.text(name) !== undefined) throw usage(`--${name} goes with --manifests`)
    if (input.list('exempt').length > 0) throw usage('--exempt goes with --manifests')
    const [cert, key] = [input.text('tls-cert'), input.text('tls-key')]
    if (cert === undefined || key === undefined)
      throw usage('API servers speak TLS only', 'give --tls-cert FILE and --tls-key FILE')
    await demandGivenFiles(context)
    const load = async () => await demandPolicy(context, file)
    const [{ serveAdmission }, { MOST_BYTES }] = await Promise.all([
      import('../admission/serve.ts'),
      import('../admission/body.ts'),
    ])
    await serveAdmission(context, {
      ...readAddress(input.text('listen') ?? '0.0.0.0:8443'),
      policy: await load(),
      reload: load,
      certificate: { cert, key, clientCa: input.text('client-ca') },
      seconds: input.count('timeout') ?? SECONDS,
      memory: readMemory(input.text('review-memory') ?? MEMORY, MOST_BYTES),
    })
    return { lines: [], document: {} }
  },
})

/** Less than one review may have would refuse some for ever. */
function readMemory(size: string, least: number): number {
  const bytes = readSize(size, '--review-memory 64M')
  if (bytes >= least) return bytes
  throw usage(`${size} is less than the ${least} bytes that one review may have`, '--review-memory 64M')
}

type Wish = {
  readonly image: string | undefined
  readonly bundle: string | undefined
  readonly namespace: string
  readonly exempt: readonly string[]
}

async function printManifests(context: Context, file: string | undefined, wish: Wish): Promise<Answer> {
  const { image, bundle, namespace, exempt } = wish
  // Nobody checks the webhook's own image but whoever writes its digest down.
  if (image === undefined || parseImage(image).digest === undefined)
    throw usage('the webhook runs by digest', '--image registry.example.com/tagseal@sha256:...')
  const { registry } = parseImage(image)
  // Clusters on one machine have their registries there: it is no mistake for sure.
  if (isLoopback(new URL(`http://${registry}`).hostname))
    context.terminal.warn(`every node pulls ${image} from itself: is there a registry at ${registry} on each of them?`)
  if (bundle === undefined) throw usage('an API server has to know the authority', '--ca-bundle FILE')
  for (const name of [namespace, ...exempt])
    if (!/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) throw usage(`${name} is no name of a namespace`)
  const { manifestsFor, printYaml } = await import('../admission/manifests.ts')
  const policy = await demandPolicy(context, file)
  refuseAuthority(context, policy)
  const manifests = await manifestsFor({ image, caBundle: await readAuthorities(bundle), namespace, exempt, policy })
  return { lines: printYaml(manifests).split('\n'), document: manifests }
}

/** What this run reaches its trust servers by stays here, and without it nothing could start in the cluster. */
function refuseAuthority({ settings: { ca } }: Context, { written }: FilePolicy): void {
  if (ca === undefined) return
  const without = written.filter((rule) => rule.kind === 'signed' && rule.ca === undefined)
  if (without.length === 0) return
  const places = without.map(({ where }) => where).join(', ')
  throw usage(
    `${places}: ${ca} is not in the cluster, and no authority is named there`,
    `put it beside the policy and write ca: ${basename(ca)} there; where no rule needs it, give neither --ca nor TAGSEAL_CA`,
  )
}
