// Runs oidc-provider on loopback and does what a browser would: logs fictional persons in and fetches their access tokens.
//
//   node provider.mjs PORT AUDIENCE
//
// Reads one request a line, answers each with a line: {"do":"token","account":…,"alg":…}, {"do":"program","alg":…}, {"do":"rotate"}.
// Ends with its standard input.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

// Its standard output is for answers.
console.info = console.warn = console.error;
const [port, audience] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}/oidc`;
const redirect = 'http://127.0.0.1/cb';
const resource = 'urn:kontor:fiktiv';
// From the folder that the program was started in.
const found = createRequire(`${process.cwd()}/`).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(found));

const ACCOUNTS = {
    anna: { groups: ['sachbearbeitung'], org: { units: ['u-42'] } },
    berta: { groups: ['leitung'], org: { units: [] } },
    carla: { groups: ['kantine'], org: { units: ['u-42'] } },
};

const random = () => randomBytes(32).toString('base64url');
let alg = 'ES256';

function keys() {
    const made = (type, options, wanted) => {
        const { privateKey } = generateKeyPairSync(type, options);
        return { ...privateKey.export({ format: 'jwk' }), kid: random(), use: 'sig', alg: wanted };
    };
    return [
        made('rsa', { modulusLength: 2048 }, 'RS256'),
        made('rsa', { modulusLength: 2048 }, 'PS256'),
        made('ec', { namedCurve: 'P-256' }, 'ES256'),
        made('ed25519', {}, 'EdDSA'),
    ];
}

function provider() {
    const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
    const it = new Provider(issuer, {
        jwks: { keys: keys() },
        cookies: { keys: [random()] },
        clients: [
            {
                client_id: 'pages', token_endpoint_auth_method: 'none', application_type: 'native',
                redirect_uris: [redirect], grant_types: ['authorization_code'], response_types: ['code'],
            },
            {
                client_id: 'program', client_secret: 'fictional-secret', redirect_uris: [],
                grant_types: ['client_credentials'], response_types: [],
            },
        ],
        enabledJWA: { idTokenSigningAlgValues: algorithms },
        findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
        extraTokenClaims: (_, token) => ACCOUNTS[token.accountId] ?? ACCOUNTS.anna,
        ttl: { Session: 600, Grant: 600, Interaction: 600, AccessToken: 300, ClientCredentials: 300, IdToken: 300 },
        features: {
            devInteractions: { enabled: true },
            clientCredentials: { enabled: true },
            resourceIndicators: {
                enabled: true,
                defaultResource: () => resource,
                useGrantedResource: () => true,
                getResourceServerInfo: () => ({
                    scope: 'work', audience, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg } },
                }),
            },
        },
    });
    return it.callback();
}

/** A browser without pages: follows redirects with its cookies. */
class Browser {
    jar = new Map();

    async send(url, form) {
        const answer = await fetch(url, {
            redirect: 'manual',
            method: form ? 'POST' : 'GET',
            body: form && new URLSearchParams(form),
            headers: { cookie: [...this.jar].map((pair) => pair.join('=')).join('; ') },
        });
        for (const cookie of answer.headers.getSetCookie()) {
            const [name, value] = cookie.split(';')[0].split('=');
            if (value) this.jar.set(name, value);
            else this.jar.delete(name);
        }
        const location = answer.headers.get('location');
        if (!location) return { page: await answer.text(), status: answer.status, url };
        await answer.arrayBuffer();
        const to = new URL(location, url);
        return to.href.startsWith(redirect) ? { back: to } : this.send(to.href);
    }
}

async function token(account) {
    const verifier = random();
    const query = new URLSearchParams({
        client_id: 'pages', response_type: 'code', redirect_uri: redirect, scope: 'openid work', resource,
        code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    });
    const browser = new Browser();
    let seen = await browser.send(`${issuer}/auth?${query}`);
    // First the login, then the consent.
    for (let step = 0; step < 3 && !seen.back; step++) {
        const prompt = /name="prompt" value="(\w+)"/.exec(seen.page)?.[1];
        const action = /action="([^"]+)"/.exec(seen.page)?.[1];
        if (!prompt || !action) throw new Error(`no form in: ${seen.status} ${seen.page}`);
        seen = await browser.send(new URL(action, seen.url).href, { prompt, login: account, password: 'x' });
    }
    const code = seen.back?.searchParams.get('code');
    if (!code) throw new Error(`no code: ${seen.back}`);
    return redeem({ grant_type: 'authorization_code', code, redirect_uri: redirect, client_id: 'pages', code_verifier: verifier, resource });
}

async function redeem(form, headers = {}) {
    const answer = await fetch(`${issuer}/token`, { method: 'POST', body: new URLSearchParams(form), headers });
    const page = await answer.json();
    if (!page.access_token) throw new Error(JSON.stringify(page));
    return { token: page.access_token, id_token: page.id_token };
}

async function done(wish) {
    alg = wish.alg ?? alg;
    switch (wish.do) {
        case 'token': return token(wish.account);
        case 'program': return redeem(
            { grant_type: 'client_credentials', resource, scope: 'work' },
            { authorization: `Basic ${Buffer.from('program:fictional-secret').toString('base64')}` },
        );
        case 'rotate': handler = provider(); return {};
        default: throw new Error(`unknown: ${wish.do}`);
    }
}

let handler = provider();
const server = createServer((request, response) => {
    // Mounted below a path, as many providers are.
    request.originalUrl = request.url;
    request.baseUrl = '/oidc';
    if (!request.url.startsWith('/oidc')) return response.writeHead(404).end();
    request.url = request.url.slice('/oidc'.length) || '/';
    handler(request, response);
});
await new Promise((resolve) => server.listen(Number(port), '127.0.0.1', resolve));
console.log(JSON.stringify({ issuer }));
for await (const line of createInterface({ input: process.stdin })) {
    try {
        console.log(JSON.stringify(await done(JSON.parse(line))));
    } catch (error) {
        console.log(JSON.stringify({ error: String(error) }));
    }
}
process.exit(0);
