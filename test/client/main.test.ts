import t from 'tap'
import { codeOf, tagseal } from '../support/cli.ts'

await t.test('a run that ends without an answer is no yes', async (t) => {
  const silent = `
    import { EventEmitter } from 'node:events'
    import http from 'node:http'
    const request = () => Object.assign(new EventEmitter(), { setTimeout() {}, write() {}, end() {}, destroy() {} })
    http.request = request
  `
  const url = `data:text/javascript,${encodeURIComponent(silent)}`
  const argv = ['history', 'registry.example.com/team/app:1', '--server', 'http://127.0.0.1:1', '--home', t.testdir()]
  const ran = await tagseal(argv, { env: { NODE_OPTIONS: `--import=${url}` } })
  t.same([ran.code, ran.stdout, codeOf(ran)], [3, '', 'INTERNAL'])
})
