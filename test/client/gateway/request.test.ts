import t from 'tap'
import { readRequest } from '../../../client/gateway/request.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const WHERE = { registries: new Set(['docker.io', 'a.io', 'localhost:5000']), defaultRegistry: 'docker.io' }

const READ: Record<string, { target: string; is: object; name?: string; where?: typeof WHERE }> = {
  'the version check': { target: '/v2/', is: { kind: 'version' } },
  'a tag of the default registry': {
    target: '/v2/library/nginx/manifests/1.29',
    is: { tag: '1.29' },
    name: 'docker.io/library/nginx',
  },
  'a short name of Docker Hub': {
    target: '/v2/nginx/manifests/1.29',
    is: { tag: '1.29' },
    name: 'docker.io/library/nginx',
  },
  'what containerd asks a mirror': {
    target: '/v2/library/nginx/manifests/1.29?ns=docker.io',
    is: { namespace: 'docker.io' },
    name: 'docker.io/library/nginx',
  },
  'another name of Docker Hub': {
    target: '/v2/library/nginx/manifests/1?ns=registry-1.docker.io',
    is: {},
    name: 'docker.io/library/nginx',
  },
  'a registry as namespace': { target: '/v2/team/app/manifests/1?ns=a.io', is: {}, name: 'a.io/team/app' },
  'a registry with a port as namespace': {
    target: '/v2/team/app/manifests/1?ns=localhost%3A5000',
    is: {},
    name: 'localhost:5000/team/app',
  },
  'a registry in the path': { target: '/v2/a.io/team/app/manifests/1', is: {}, name: 'a.io/team/app' },
  'a registry in the path below a namespace, as a part of the name': {
    target: '/v2/a.io/team/manifests/1?ns=docker.io',
    is: {},
    name: 'docker.io/a.io/team',
  },
  'a digest': { target: `/v2/a.io/x/manifests/${DIGEST}`, is: { digest: DIGEST, tag: undefined } },
  'a digest with an escaped colon': {
    target: `/v2/a.io/x/blobs/${DIGEST.replace(':', '%3A')}`,
    is: { kind: 'blob', digest: DIGEST },
  },
  'a repository whose name holds our words': {
    target: `/v2/a.io/blobs/manifests/x/blobs/${DIGEST}`,
    is: { kind: 'blob' },
    name: 'a.io/blobs/manifests/x',
  },
  'a list of tags': { target: '/v2/a.io/x/tags/list?n=5&last=b', is: { kind: 'tags', most: 5, last: 'b' } },
  'a list of referrers': {
    target: `/v2/a.io/x/referrers/${DIGEST}?artifactType=a/b`,
    is: { kind: 'referrers', artifactType: 'a/b' },
  },
}
for (const [name, { target, is, name: full }] of Object.entries(READ)) {
  await t.test(`reads ${name}`, (t) => {
    const asked = readRequest(target, WHERE)
    t.match(asked, is)
    if (full !== undefined) t.match(asked, { repository: { name: full } })
    t.end()
  })
}

const REFUSED: Record<string, { target: string; code: string }> = {
  'a registry that no rule names': { target: '/v2/b.io/x/manifests/1', code: 'REGISTRY_NOT_ALLOWED' },
  'a namespace that no rule names': { target: '/v2/x/manifests/1?ns=b.io', code: 'REGISTRY_NOT_ALLOWED' },
  'the address of a metadata service as namespace': {
    target: '/v2/x/manifests/1?ns=169.254.169.254',
    code: 'REGISTRY_NOT_ALLOWED',
  },
  'this machine as namespace': { target: '/v2/x/manifests/1?ns=127.0.0.1:22', code: 'REGISTRY_NOT_ALLOWED' },
  'a namespace with a path in it': { target: '/v2/x/manifests/1?ns=a.io/y', code: 'REGISTRY_NOT_ALLOWED' },
  'a namespace with a login in it': { target: '/v2/x/manifests/1?ns=u:p@a.io', code: 'REGISTRY_NOT_ALLOWED' },
  'a namespace in letters of another script': {
    target: '/v2/x/manifests/1?ns=doc%E2%84%AAer.io',
    code: 'REGISTRY_NOT_ALLOWED',
  },
  'an empty namespace': { target: '/v2/x/manifests/1?ns=', code: 'REGISTRY_NOT_ALLOWED' },
  'two namespaces': { target: '/v2/x/manifests/1?ns=a.io&ns=b.io', code: 'NAME_INVALID' },
  'a path that climbs': { target: '/v2/a.io/../b/manifests/1', code: 'NAME_INVALID' },
  'a path that climbs in disguise': { target: '/v2/a.io/%2e%2e/b/manifests/1', code: 'NAME_INVALID' },
  'a slash in disguise': { target: '/v2/a.io%2Fteam/x/manifests/1', code: 'NAME_INVALID' },
  'a path escaped twice': { target: '/v2/a.io/%252e%252e/manifests/1', code: 'NAME_INVALID' },
  'a backslash': { target: '/v2/a.io\\x/manifests/1', code: 'NAME_INVALID' },
  'a NUL': { target: '/v2/a.io/x%00/manifests/1', code: 'NAME_INVALID' },
  'an empty part': { target: '/v2/a.io//x/manifests/1', code: 'NAME_INVALID' },
  'upper case': { target: '/v2/a.io/Team/manifests/1', code: 'NAME_INVALID' },
  'a tag that begins with a dot': { target: '/v2/a.io/x/manifests/.hidden', code: 'NAME_INVALID' },
  'a digest in upper case': { target: `/v2/a.io/x/manifests/sha256:${'A'.repeat(64)}`, code: 'NAME_INVALID' },
  'a digest of an unknown kind': { target: `/v2/a.io/x/blobs/md5:${'a'.repeat(32)}`, code: 'NAME_INVALID' },
  'a short digest': { target: '/v2/a.io/x/blobs/sha256:aa', code: 'NAME_INVALID' },
  'a whole URL': { target: 'http://b.io/v2/x/manifests/1', code: 'NOT_SERVED' },
  'a name without end': { target: `/v2/a.io/${'x'.repeat(2000)}/manifests/1`, code: 'NAME_INVALID' },
  'a number of tags that is none': { target: '/v2/a.io/x/tags/list?n=-1', code: 'NAME_INVALID' },
  'the list of repositories': { target: '/v2/_catalog', code: 'NOT_SERVED' },
  'what is no registry': { target: '/admin', code: 'NOT_SERVED' },
}
for (const [name, { target, code }] of Object.entries(REFUSED)) {
  await t.test(`refuses ${name}`, (t) => {
    t.throws(() => readRequest(target, WHERE), { name: 'GatewayError', code })
    t.end()
  })
}

await t.test('refuses a name without a registry where there is no default', (t) => {
  const where = { ...WHERE, defaultRegistry: undefined }
  t.throws(() => readRequest('/v2/nginx/manifests/1', where), { code: 'NO_REGISTRY' })
  t.end()
})
