// TLS 1.2 of the JDK, as X-Road's security servers speak it, with standard input and output as its other side: a scripted peer
// speaks HTTP through it. Arguments: client or server, host, port, PKCS#12 file (password "bridge"), suites by commas.

import java.io.FileInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.security.KeyStore;
import java.security.cert.X509Certificate;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;

public class Bridge {
    public static void main(String[] args) throws Exception {
        char[] password = "bridge".toCharArray();
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream file = new FileInputStream(args[3])) {
            store.load(file, password);
        }
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, password);
        SSLContext context = SSLContext.getInstance("TLSv1.2");
        context.init(keys.getKeyManagers(), new TrustManager[] {new Anybody()}, null);
        InetAddress host = InetAddress.getByName(args[1]);
        int port = Integer.parseInt(args[2]);
        SSLSocket socket;
        if (args[0].equals("client")) {
            socket = (SSLSocket) context.getSocketFactory().createSocket(host, port);
        } else {
            SSLServerSocket server = (SSLServerSocket) context.getServerSocketFactory().createServerSocket(port, 1, host);
            socket = (SSLSocket) server.accept();
            socket.setNeedClientAuth(true);
        }
        socket.setEnabledProtocols(new String[] {"TLSv1.2"});
        socket.setEnabledCipherSuites(args[4].split(","));
        socket.startHandshake();
        System.err.println(socket.getSession().getCipherSuite());
        Thread out = new Thread(() -> pump(System.in, socket));
        out.setDaemon(true);
        out.start();
        socket.getInputStream().transferTo(System.out);
        System.out.flush();
    }

    private static void pump(InputStream from, SSLSocket to) {
        try {
            OutputStream out = to.getOutputStream();
            byte[] buffer = new byte[65536];
            for (int read = from.read(buffer); read >= 0; read = from.read(buffer)) {
                out.write(buffer, 0, read);
                out.flush();
            }
        } catch (java.io.IOException closed) {
            // The exchange that runs on it notices.
        }
    }

    /** X-Road looks at certificates after the handshake. */
    private static class Anybody implements X509TrustManager {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
