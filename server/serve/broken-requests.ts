import type { Socket } from 'node:net'
import { randomName } from '../../keys/random.ts'
import { Problem, bodyOf } from '../problem.ts'
import type { Settings } from '../config.ts'

type Limits = Pick<Settings, 'requestTimeout' | 'maxHeaderBytes'>

const REASON = new Map([
  [400, 'Bad Request'],
  [408, 'Request Timeout'],
  [431, 'Request Header Fields Too Large'],
])

/** Answers what never became a request: no HTTP, headers without end, a body that does not come. Then hangs up. */
export function refuseBrokenRequests(limits: Limits): (error: Error & { code?: string }, socket: Socket) => void {
  return (error, socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) {
      socket.destroy(error)
      return
    }
    const problem = problemOf(error.code, limits)
    const body = JSON.stringify(bodyOf(problem))
    socket.end(
      [
        `HTTP/1.1 ${problem.status} ${REASON.get(problem.status) ?? ''}`,
        'content-type: application/json',
        `content-length: ${Buffer.byteLength(body)}`,
        'cache-control: no-store',
        `x-request-id: ${randomName()}`,
        'connection: close',
        '',
        body,
      ].join('\r\n'),
    )
  }
}

function problemOf(code: string | undefined, { requestTimeout, maxHeaderBytes }: Limits): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('TIMEOUT', { seconds: requestTimeout })
  if (code === 'HPE_HEADER_OVERFLOW') return new Problem('HEADERS_TOO_LARGE', { limit: maxHeaderBytes })
  return new Problem('INVALID_REQUEST', { reason: 'it is no HTTP/1.1 request' })
}
