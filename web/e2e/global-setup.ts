import { startScriptedModel } from "./scripted-model";

/** The model that says what it is told runs beside the tests; the workers find it by the environment. */
export default async function setUp(): Promise<() => Promise<void>> {
  if (!process.env.CHATWRIGHT_ADDRESS) {
    throw new Error("CHATWRIGHT_ADDRESS is not set: run `make test ARGS=tests/e2e`, which starts a server to test");
  }
  const { baseUrl, server } = await startScriptedModel();
  process.env.SCRIPTED_MODEL = baseUrl;
  return async () => {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  };
}
