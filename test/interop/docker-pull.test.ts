import t from 'tap'
import { codeOf } from '../support/cli.ts'
import { tryDocker } from '../support/engines.ts'
import { buildImage } from '../support/images.ts'
import { pullJourney } from '../support/pull-journey.ts'
import { whyNoRegistry } from '../support/registry.ts'
import { openTown } from '../support/town.ts'

const engine = (await whyNoRegistry()) ?? (await tryDocker())
const skip = typeof engine === 'string' && engine

await t.test('tagseal pull has docker pull what was signed, or nothing', { skip }, async (t) => {
  if (typeof engine === 'string') return
  t.teardown(engine.stop)
  await pullJourney(t, engine)
})

await t.test('a daemon that does not answer is told, and the image is not said to be here', { skip }, async (t) => {
  if (typeof engine === 'string') return
  const town = await openTown()
  t.teardown(town.close)
  const owner = await town.person()
  await town.push('1.0', buildImage())
  await owner.run(['init', town.repository, '--no-passphrase'])
  await owner.run(['sign', `${town.repository}:1.0`])
  const env = { ...engine.env, DOCKER_HOST: 'unix:///nonexistent/socket' }
  const ran = await owner.run(['pull', `${town.repository}:1.0`, '--engine', 'docker'], { env })
  t.same([ran.code, codeOf(ran), ran.stdout], [3, 'ENGINE_FAILED', ''])
})
