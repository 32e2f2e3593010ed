import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.sonarsource.sonarlint.core.analysis.AnalysisEngine;
import org.sonarsource.sonarlint.core.analysis.api.ActiveRule;
import org.sonarsource.sonarlint.core.analysis.api.AnalysisConfiguration;
import org.sonarsource.sonarlint.core.analysis.api.AnalysisEngineConfiguration;
import org.sonarsource.sonarlint.core.analysis.api.AnalysisResults;
import org.sonarsource.sonarlint.core.analysis.api.ClientInputFile;
import org.sonarsource.sonarlint.core.analysis.api.Issue;
import org.sonarsource.sonarlint.core.analysis.command.AnalyzeCommand;
import org.sonarsource.sonarlint.core.commons.api.SonarLanguage;
import org.sonarsource.sonarlint.core.commons.api.progress.ClientProgressMonitor;
import org.sonarsource.sonarlint.core.commons.log.LogOutput;
import org.sonarsource.sonarlint.core.commons.log.SonarLintLogger;
import org.sonarsource.sonarlint.core.commons.progress.ProgressMonitor;
import org.sonarsource.sonarlint.core.plugin.commons.PluginsLoadResult;
import org.sonarsource.sonarlint.core.plugin.commons.PluginsLoader;
import org.sonarsource.sonarlint.core.rule.extractor.RulesDefinitionExtractor;
import org.sonarsource.sonarlint.core.rule.extractor.SonarLintRuleDefinition;

/**
 * Runs Sonar's analysers over files of one folder, in one engine.
 *
 * <p>Arguments: an analyser's jar, its language (java or python), a file that lists the names of
 * files beside it. The active rules are those that the analyser activates by default. Rules that
 * tell a measure in their message are active beside them with a threshold of 0. Writes lines of
 * fields that are separated by tabs: "threshold", a measuring rule that is active by default and
 * its own threshold; "issue", file, line (0: the whole file), rule, type, message; "failed", file;
 * at the end "done" and the number of files.
 */
final class Analyze {
    /** The measuring rules and what their threshold is called, by language. */
    private static final Map<String, Map<String, String>> MEASURES =
            Map.of(
                    "java",
                    Map.of("java:S1541", "Threshold", "java:S3776", "Threshold", "java:S104", "Max"),
                    "python",
                    Map.of(
                            "python:FunctionComplexity",
                            "maximumFunctionComplexityThreshold",
                            "python:S3776",
                            "threshold"));

    private Analyze() {}

    public static void main(String[] arguments) throws Exception {
        PrintStream out =
                new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        LogOutput log =
                new LogOutput() {
                    @Override
                    public void log(String message, Level level, String trace) {
                        if (level == Level.ERROR) {
                            System.err.println(message);
                        }
                    }
                };
        SonarLintLogger.setTarget(log);
        SonarLanguage language = SonarLanguage.valueOf(arguments[1].toUpperCase());
        Path list = Path.of(arguments[2]);
        Path work = Files.createTempDirectory("sonar");
        Set<SonarLanguage> languages = EnumSet.of(language);
        PluginsLoadResult loaded =
                new PluginsLoader()
                        .load(
                                new PluginsLoader.Configuration(
                                        Set.of(Path.of(arguments[0])), languages, false, Optional.empty()));
        Map<String, SonarLintRuleDefinition> rules = new HashMap<>();
        for (SonarLintRuleDefinition rule :
                new RulesDefinitionExtractor()
                        .extractRules(
                                loaded.getLoadedPlugins().getPluginInstancesByKeys(), languages, false, true)) {
            rules.put(rule.getKey(), rule);
        }
        AnalysisConfiguration configuration =
                AnalysisConfiguration.builder()
                        .setBaseDir(list.getParent())
                        .addInputFiles(files(list, language))
                        .addActiveRules(active(rules, arguments[1], out))
                        .build();
        AnalysisEngine engine =
                new AnalysisEngine(
                        AnalysisEngineConfiguration.builder()
                                .setWorkDir(work)
                                .setClientPid(ProcessHandle.current().pid())
                                .setModulesProvider(List::of)
                                .build(),
                        loaded.getLoadedPlugins(),
                        log);
        AnalyzeCommand command =
                new AnalyzeCommand(null, configuration, issue -> tell(issue, rules, out), log);
        AnalysisResults results =
                engine.post(command, new ProgressMonitor(new ClientProgressMonitor() {})).get();
        for (ClientInputFile failed : results.failedAnalysisFiles()) {
            out.println("failed\t" + failed.relativePath());
        }
        out.println("done\t" + results.indexedFileCount());
        out.flush();
        Runtime.getRuntime().halt(out.checkError() ? 1 : 0); // threads of the engine may linger
    }

    private static List<ActiveRule> active(
            Map<String, SonarLintRuleDefinition> rules, String language, PrintStream out) {
        Map<String, String> measures = MEASURES.get(language);
        List<ActiveRule> result = new ArrayList<>();
        for (SonarLintRuleDefinition rule : rules.values()) {
            String threshold = measures.get(rule.getKey());
            if (threshold == null && !rule.isActiveByDefault()) {
                continue;
            }
            ActiveRule active = new ActiveRule(rule.getKey(), language.equals("python") ? "py" : language);
            Map<String, String> parameters = new HashMap<>(rule.getDefaultParams());
            if (threshold != null) {
                String usual = parameters.put(threshold, "0");
                if (rule.isActiveByDefault()) {
                    out.println("threshold\t" + rule.getKey() + "\t" + usual);
                }
            }
            active.setParams(parameters);
            result.add(active);
        }
        return result;
    }

    /** One line for an issue; called from the engine's only thread. */
    private static void tell(
            Issue issue, Map<String, SonarLintRuleDefinition> rules, PrintStream out) {
        ClientInputFile file = issue.getInputFile();
        if (file == null) {
            return; // an issue of the whole project
        }
        int line = issue.getTextRange() == null ? 0 : issue.getTextRange().getStartLine();
        out.println(
                String.join(
                        "\t",
                        "issue",
                        file.relativePath(),
                        Integer.toString(line),
                        issue.getRuleKey(),
                        rules.get(issue.getRuleKey()).getType().name(),
                        issue.getMessage().replaceAll("\\s+", " ")));
    }

    private static List<ClientInputFile> files(Path list, SonarLanguage language)
            throws IOException {
        List<ClientInputFile> result = new ArrayList<>();
        for (String name : Files.readAllLines(list)) {
            result.add(new Source(list.resolveSibling(name), name, language));
        }
        return result;
    }

    private record Source(Path path, String name, SonarLanguage language)
            implements ClientInputFile {
        @Override
        public String getPath() {
            return path.toString();
        }

        @Override
        public boolean isTest() {
            return false;
        }

        @Override
        public Charset getCharset() {
            return StandardCharsets.UTF_8;
        }

        @Override
        public SonarLanguage language() {
            return language;
        }

        @Override
        @SuppressWarnings("unchecked")
        public <G> G getClientObject() {
            return (G) path;
        }

        @Override
        public InputStream inputStream() throws IOException {
            return Files.newInputStream(path);
        }

        @Override
        public String contents() throws IOException {
            return Files.readString(path);
        }

        @Override
        public String relativePath() {
            return name;
        }

        @Override
        public URI uri() {
            return path.toUri();
        }
    }
}
