import { join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'
import { createTempDir } from './temp-dir.ts'

/** A browser without a screen, with a profile of its own, and nothing to reach but this machine. */
export async function openBrowser(executablePath: string): Promise<Browser & AsyncDisposable> {
  const home = await createTempDir()
  const browser = await chromium.launch({
    executablePath,
    // As root, as in containers, Chromium's own sandbox does not start.
    chromiumSandbox: false,
    env: {
      HOME: home.path,
      PATH: process.env.PATH ?? '',
      TMPDIR: home.path,
      XDG_CONFIG_HOME: join(home.path, 'config'),
    },
    args: [
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
    ],
    timeout: 60_000,
  })
  return Object.assign(browser, {
    [Symbol.asyncDispose]: async () => {
      await browser.close()
      await home[Symbol.asyncDispose]()
    },
  })
}
