// GET the model, then POST each file in order on one client; a line with status and body for each answer.
// Arguments: address, folder, HTTP_1_1 or HTTP_2 (the JDK's default, which offers h2c with every request),
// and the authority's certificate for https.

import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

class Client {
    public static void main(String[] arguments) throws Exception {
        HttpClient.Builder builder = HttpClient.newBuilder().version(HttpClient.Version.valueOf(arguments[2]));
        if (arguments.length > 3) {
            builder.sslContext(trusting(arguments[3]));
        }
        HttpClient client = builder.build();
        URI model = URI.create(arguments[0] + "/v2/models/model");
        print(client, HttpRequest.newBuilder(model));
        List<Path> files;
        try (var found = Files.list(Path.of(arguments[1]))) {
            files = found.sorted().collect(Collectors.toList());
        }
        for (Path file : files) {
            print(client, HttpRequest.newBuilder(URI.create(model + "/infer"))
                .header("Content-Type", "application/json").POST(HttpRequest.BodyPublishers.ofFile(file)));
        }
        System.exit(0);
    }

    static void print(HttpClient client, HttpRequest.Builder request) throws Exception {
        var answer = client.send(request.timeout(Duration.ofSeconds(20)).build(), BodyHandlers.ofString());
        System.out.println(answer.statusCode() + " " + answer.body());
    }

    static SSLContext trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (var content = new FileInputStream(file)) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(content));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
